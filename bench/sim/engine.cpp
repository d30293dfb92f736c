#include <galley/policy/cost_table.hpp>

#include <sim/engine.hpp>

#include <algorithm>
#include <chrono>
#include <limits>

namespace bench::sim {

namespace {

constexpr Duration wake_up = std::chrono::microseconds(10);  // of a client that was answered

/// One run.
class Simulation {
 public:
  Simulation(const World& world, Scheduler scheduler)
      : world_(world), scheduler_(std::move(scheduler)), running_(world.executors) {
    log_.requests.reserve(world.arrivals.size());
    log_.answered.assign(world.arrivals.size(), Log::never);
    for (std::size_t i = 0; i < world.clients; ++i) {
      returning_.push_back(static_cast<std::int64_t>(i) * wake_up);
    }
  }

  Log run() {
    while (next_event()) {
      end_batches();
      arrive();
      while (waiting() > 0 && free_executor() < running_.size() && dispatch()) continue;
    }
    return std::move(log_);
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  static constexpr Duration never = Log::never;

  struct Running {
    std::size_t batch = none;
    Duration ends = never;
  };

  std::size_t waiting() const { return log_.requests.size() - head_; }
  bool all_arrived() const { return arrived_ == world_.arrivals.size(); }

  Duration next_arrival() const {
    if (all_arrived()) return never;
    if (world_.clients == 0) return world_.arrivals[arrived_];
    return arrived_ < returning_.size() ? returning_[arrived_] : never;
  }

  /// Moves time on; false when nothing is left to happen.
  bool next_event() {
    Duration next = next_arrival();
    for (const Running& running : running_) next = std::min(next, running.ends);
    if (waiting() > 0 && free_executor() < running_.size()) next = std::min(next, look_again_);
    if (next == never) return false;
    now_ = next;
    return true;
  }

  void end_batches() {
    for (Running& running : running_) {
      if (running.ends > now_) continue;
      const RanBatch& batch = log_.batches[running.batch];
      Duration waited = {};
      for (std::size_t i = batch.first; i < batch.first + batch.rows; ++i) {
        log_.answered[i] = now_;
        waited += batch.started - log_.requests[i].arrived;
        come_back();
      }
      const Duration took = batch.ended - batch.started;
      costs_.observe(batch.rows, took);
      scheduler_.observe({.rows = batch.rows,
                          .started = batch.started,
                          .took = took,
                          .waited = waited / static_cast<std::int64_t>(batch.rows)});
      running = {};
    }
  }

  void come_back() {
    if (world_.clients != 0) returning_.push_back(now_ + wake_up);
  }

  void arrive() {
    while (next_arrival() <= now_) {
      const Duration arrived = next_arrival();
      ++arrived_;
      const Duration due = world_.deadlines ? arrived + world_.curve->objective() : never;
      if (scheduler_.admits({.rows = waiting(),
                             .limit = world_.curve->limit(),
                             .slack = due == never ? never : due - now_,
                             .executors = running_.size(),
                             .costs = &costs_})) {
        log_.requests.push_back({.arrived = arrived, .due = due});
      } else {
        ++log_.refused;
        come_back();
      }
      if (all_arrived()) log_.waiting_at_end = waiting();
    }
  }

  std::size_t free_executor() const {
    std::size_t free = 0;
    while (free < running_.size() && running_[free].batch != none) ++free;
    return free;
  }

  QueueView view() const {
    QueueView view;
    const rivals::Waiting& first = log_.requests[head_];
    view.rows = waiting();
    view.limit = world_.curve->limit();
    view.oldest = now_ - first.arrived;
    view.slack = first.due == never ? Duration::max() : first.due - now_;
    view.number = log_.batches.size();
    view.costs = &costs_;
    view.now = now_;
    view.waiting = std::span(log_.requests).subspan(head_);
    view.in_flight = static_cast<std::size_t>(
        std::ranges::count_if(running_, [](const Running& r) { return r.batch != none; }));
    return view;
  }

  /// Asks the scheduler; false when it waits or nothing is left.
  bool dispatch() {
    look_again_ = never;
    for (std::size_t dropped = scheduler_.drop(view()); dropped > 0; --dropped) {
      ++head_;
      ++log_.dropped;
      come_back();
    }
    if (waiting() == 0) return false;
    QueueView seen = view();
    BatchDecision decision = scheduler_.decide(seen);
    while (decision.act == BatchDecision::Act::yield && seen.yields < 64) {
      ++seen.yields;  // nobody else is there
      seen.rows_before = seen.rows;
      decision = scheduler_.decide(seen);
    }
    if (decision.act == BatchDecision::Act::wait) {
      log_.broken |= decision.wait <= Duration::zero();
      look_again_ = now_ + std::max(decision.wait, Duration(1));
      return false;
    }
    const std::size_t most = std::min(seen.rows, seen.limit);
    log_.broken |= decision.rows < 1 || decision.rows > most;
    log_.broken |= decision.act != BatchDecision::Act::close;
    start(std::clamp<std::size_t>(decision.rows, 1, most));
    return true;
  }

  void start(std::size_t rows) {
    const std::size_t executor = free_executor();
    const Duration ends = now_ + world_.cost(head_, rows);
    running_[executor] = {.batch = log_.batches.size(), .ends = ends};
    log_.batches.push_back(
        {.first = head_, .rows = rows, .executor = executor, .started = now_, .ended = ends});
    head_ += rows;
  }

  const World& world_;
  Scheduler scheduler_;
  galley::CostTable costs_;
  Log log_;
  std::vector<Running> running_;
  std::vector<Duration> returning_;  // when clients ask anew, ascending
  std::size_t arrived_ = 0;
  std::size_t head_ = 0;  // the first request that waits
  Duration now_ = {};
  Duration look_again_ = never;
};

/// What is wrong with one batch, or nothing.
const char* fault_of(const World& world, const Log& log, const RanBatch& batch) {
  if (batch.rows == 0 || batch.rows > world.curve->limit()) return "a batch is too large or empty";
  if (batch.first + batch.rows > log.requests.size()) return "a batch has rows that never arrived";
  if (batch.started < log.requests[batch.first + batch.rows - 1].arrived) {
    return "a batch started before its rows arrived";
  }
  if (batch.ended - batch.started != world.cost(batch.first, batch.rows)) {
    return "a batch did not take what it costs";
  }
  return nullptr;
}

}  // namespace

Log simulate(const World& world, Scheduler scheduler) {
  return Simulation(world, std::move(scheduler)).run();
}

std::string fault_of(const World& world, const Log& log) {
  if (log.requests.size() + log.refused != world.arrivals.size()) return "a request is missing";
  std::vector<Duration> free_at(world.executors);
  std::vector<unsigned char> served(log.requests.size());
  for (const RanBatch& batch : log.batches) {
    if (const char* fault = fault_of(world, log, batch)) return fault;
    if (batch.started < free_at[batch.executor]) return "an executor ran two batches at once";
    free_at[batch.executor] = batch.ended;
    for (std::size_t i = batch.first; i < batch.first + batch.rows; ++i) {
      if (++served[i] > 1) return "a request was served twice";
      if (log.answered[i] != batch.ended) return "a request was not answered by its batch";
    }
  }
  if (log.broken) return "a policy decided what it may not";
  std::size_t dropped = 0;
  for (std::size_t i = 0; i < served.size(); ++i) {
    if (served[i] != 0) continue;
    if (log.answered[i] != Log::never) return "a request was given up and answered";
    ++dropped;
  }
  return dropped == log.dropped ? "" : "a request was neither served nor given up";
}

Figures figures_of(const World& world, const Log& log) {
  const std::size_t count = log.requests.size();
  const std::size_t first = count / 20;
  std::vector<Duration> latencies;
  double total_us = 0;
  double in_time = 0;
  Duration end = log.requests.back().arrived;
  const Duration begin = log.requests[first].arrived;
  for (std::size_t i = first; i < count; ++i) {
    if (log.answered[i] == Log::never) continue;
    latencies.push_back(log.answered[i] - log.requests[i].arrived);
    total_us += static_cast<double>(latencies.back().count()) / 1000;
    in_time += latencies.back() <= world.curve->objective() ? 1 : 0;
    end = std::max(end, log.answered[i]);
  }
  Figures figures;
  const auto capacity_over = [&](Duration span) {
    return world.curve->capacity() * static_cast<double>(world.executors) *
           static_cast<double>(span.count()) / 1e9;
  };
  if (!latencies.empty()) {
    const auto at = [&](std::size_t hundredth) {
      const auto place =
          latencies.begin() + static_cast<std::ptrdiff_t>((latencies.size() - 1) * hundredth / 100);
      std::nth_element(latencies.begin(), place, latencies.end());
      return *place;
    };
    figures.p50 = at(50);
    figures.p99 = at(99);
    figures.mean_us = total_us / static_cast<double>(latencies.size());
    figures.throughput = static_cast<double>(latencies.size()) / capacity_over(end - begin);
  }
  figures.goodput = in_time / capacity_over(log.requests.back().arrived - begin);
  if (!log.batches.empty()) {
    figures.mean_batch =
        static_cast<double>(count - log.dropped) / static_cast<double>(log.batches.size());
  }
  figures.diverges = log.waiting_at_end > count / 50;
  return figures;
}

}  // namespace bench::sim
