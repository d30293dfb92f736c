// A scheduler in front of a model, on an executor of galley's.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor_rows.hpp>

#include <rivals/scheduler.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace bench::rivals {

/// Rows of one request each wait in order of arrival; whenever a slot is free and rows come, a
/// batch ends or the time is up that the scheduler asked for, it is asked whether to start a batch,
/// and once more which rows go, when a worker has taken it up: more may have come.
///
/// What bench/sim does in virtual time, for whatever bench/sim runs: so that policies meet on real
/// threads with the same machinery beneath, galley's own among them. It is a servable's author; it
/// takes single rows.
class OnExecutor {
 public:
  using Tensor = galley::Tensor;
  using Model = galley::Servable<Tensor, Tensor>;

  /// As many batches at once as the executor has workers, of at most `limit` rows.
  OnExecutor(galley::Executor executor, Model model, Scheduler scheduler, std::size_t limit)
      : state_(std::make_shared<State>(std::move(executor), std::move(model), std::move(scheduler),
                                       limit)) {}

  void submit(Tensor row, const galley::Context& context, galley::Completion<Tensor> done) const {
    state_->enter(std::move(row), context, std::move(done));
  }

 private:
  using Answer = galley::Completion<Tensor>;
  using Answers = std::vector<Answer>;

  struct State;

  /// One batch at a time, on a worker.
  struct Slot : galley::Task {
    explicit Slot(State& state)
        : Task([](Task& task, Call call) noexcept {
            Slot& slot = static_cast<Slot&>(task);
            if (call == Call::run) slot.owner.run(slot);
            if (call == Call::finish || call == Call::abandon) slot.owner.end(slot, call);
          }),
          owner(state) {}
    State& owner;
    std::shared_ptr<State> keep;  // while it is posted: it is busy
    std::size_t granted = 0;      // rows for which it was started
    std::vector<Tensor> rows;
    Answers owed;
  };

  /// Wakes whoever looks when the scheduler asked for it.
  struct Timer : galley::TimedTask {
    explicit Timer(State& state)
        : TimedTask([](Task& task, Call call) noexcept {
            Timer& timer = static_cast<Timer&>(task);
            if (call == Call::finish || call == Call::abandon) timer.owner.time_is_up(call);
          }),
          owner(state) {}
    State& owner;
    std::shared_ptr<State> keep;  // while it is posted
    Duration at = {};
  };

  struct Item {
    Tensor row;
    Answer owed;
  };

  struct State : std::enable_shared_from_this<State> {
    State(galley::Executor on, Model served, Scheduler decides, std::size_t most)
        : executor(std::move(on)),
          model(std::move(served)),
          scheduler(std::move(decides)),
          limit(most),
          begin(executor.now().at) {
      for (std::size_t i = 0; i < executor.concurrency(); ++i) slots.emplace_back(*this);
    }

    void enter(Tensor&& row, const galley::Context& context, Answer&& done) {
      const auto never = Duration::max();
      Answers late;
      std::unique_lock lock(mutex);
      const Duration at = now();
      const Duration due = context.deadline.is_never() ? never : context.deadline.at - begin;
      if (!scheduler.admits({.rows = items.size(),
                             .limit = limit,
                             .slack = due == never ? never : due - at,
                             .executors = slots.size(),
                             .costs = &costs})) {
        lock.unlock();
        return done(galley::Error(galley::Status::resource_exhausted, "not admitted"));
      }
      items.push_back({std::move(row), std::move(done)});
      times.push_back({.arrived = at, .due = due});
      look(at, late);
      lock.unlock();
      answer_late(late);
    }

    void run(Slot& slot) {
      Answers late;
      std::unique_lock lock(mutex);
      const Duration started = now();
      starting = false;
      const Duration waited = take(slot, started, late);
      look(started, late);
      lock.unlock();
      answer_late(late);
      if (slot.rows.empty()) return;
      galley::Rows<Tensor> batch(slot.rows.size());
      for (Tensor& row : slot.rows) batch.push_back(std::move(row));
      const galley::Outcomes<Tensor> outcomes = model.serve_rows(std::move(batch));
      lock.lock();
      const Duration took = now() - started;
      costs.observe(outcomes.size(), took);
      scheduler.observe(
          {.rows = outcomes.size(), .started = started, .took = took, .waited = waited});
      lock.unlock();
      for (std::size_t i = 0; i < slot.owed.size(); ++i) slot.owed[i](outcomes[i].result());
    }

    /// Of a slot's task. It may be started again at once.
    void end(Slot& slot, galley::Task::Call call) {
      slot.rows.clear();
      slot.owed.clear();
      Answers late;
      std::unique_lock lock(mutex);
      const std::shared_ptr<State> last = std::move(slot.keep);
      if (call == galley::Task::Call::finish) look(now(), late);
      lock.unlock();
      answer_late(late);
    }

    void time_is_up(galley::Task::Call call) {
      Answers late;
      std::unique_lock lock(mutex);
      const std::shared_ptr<State> last = std::move(timer.keep);
      // As of when it was to be: a scheduler that looks tick by tick finds its tick.
      if (call == galley::Task::Call::finish) look(timer.at, late);
      lock.unlock();
      answer_late(late);
    }

   private:
    Duration now() const { return executor.now().at - begin; }

    static void answer_late(Answers& late) {
      for (Answer& answer : late) {
        answer(galley::Error(galley::Status::deadline_exceeded, "given up by the scheduler"));
      }
    }

    // The rest under the lock.

    /// Starts a slot where the scheduler wants a batch, or comes again when it says so.
    void look(Duration at, Answers& late) {
      Slot* const slot = free_slot();
      if (starting || slot == nullptr) return;
      give_up_late(at, late);
      if (items.empty()) return;
      const BatchDecision decision = scheduler.decide(view(at, busy()));
      if (decision.act != BatchDecision::Act::close) return come_again(at + decision.wait);
      slot->granted = decision.rows;
      slot->keep = this->shared_from_this();
      starting = executor.post(*slot);
      if (!starting) slot->keep.reset();  // it is shut down
    }

    void come_again(Duration at) {
      if (timer.keep != nullptr && (timer.at <= at || !executor.cancel(timer))) return;
      timer.at = at;
      timer.keep = this->shared_from_this();
      if (!executor.post_at(timer, begin + at)) timer.keep.reset();
    }

    /// The rows of a batch, as the scheduler decides now; how long they waited, in the mean.
    Duration take(Slot& slot, Duration at, Answers& late) {
      give_up_late(at, late);
      if (items.empty()) return {};
      const BatchDecision decision = scheduler.decide(view(at, busy() - 1));
      const bool closes = decision.act == BatchDecision::Act::close;
      const std::size_t rows = std::clamp<std::size_t>(closes ? decision.rows : slot.granted, 1,
                                                       std::min(items.size(), limit));
      Duration waited = {};
      for (std::size_t i = 0; i < rows; ++i) {
        waited += at - times[head].arrived;
        Item item = leave();
        slot.rows.push_back(std::move(item.row));
        slot.owed.push_back(std::move(item.owed));
      }
      ++batches;
      return waited / static_cast<std::int64_t>(rows);
    }

    void give_up_late(Duration at, Answers& late) {
      if (items.empty()) return;
      for (std::size_t i = scheduler.drop(view(at, busy())); i > 0; --i) {
        late.push_back(std::move(leave().owed));
      }
    }

    Item leave() {
      Item item = std::move(items.front());
      items.pop_front();
      if (++head >= 1024 && 2 * head >= times.size()) {
        times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(head));
        head = 0;
      }
      return item;
    }

    QueueView view(Duration at, std::size_t in_flight) const {
      const Waiting& first = times[head];
      QueueView view;
      view.rows = items.size();
      view.limit = limit;
      view.oldest = at - first.arrived;
      view.slack = first.due == Duration::max() ? first.due : first.due - at;
      view.number = batches;
      view.costs = &costs;
      view.now = at;
      view.waiting = std::span(times).subspan(head);
      view.in_flight = in_flight;
      return view;
    }

    Slot* free_slot() {
      const auto free = std::ranges::find_if(slots, [](Slot& s) { return s.keep == nullptr; });
      return free == slots.end() ? nullptr : &*free;
    }
    std::size_t busy() const {
      return static_cast<std::size_t>(
          std::ranges::count_if(slots, [](const Slot& s) { return s.keep != nullptr; }));
    }

    const galley::Executor executor;
    const Model model;
    Scheduler scheduler;
    const std::size_t limit;
    const galley::TimePoint begin;

    std::mutex mutex;
    std::deque<Item> items;
    std::vector<Waiting> times;  // of the items, from `head` on
    std::size_t head = 0;
    galley::CostTable costs;
    std::uint64_t batches = 0;
    bool starting = false;  // a slot was started and has not yet looked
    std::deque<Slot> slots;
    Timer timer{*this};
  };

  std::shared_ptr<State> state_;
};

}  // namespace bench::rivals
