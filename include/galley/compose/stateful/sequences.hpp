// The states of sequences, by key.
#pragma once

#include <galley/compose/resilience/text.hpp>
#include <galley/compose/stateful/options.hpp>
#include <galley/core/context.hpp>
#include <galley/core/node.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <algorithm>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What makes the state before the first row: called with a lock held, on any thread.
template <class M>
concept StateMaker = requires(const M& maker) {
  typename M::State;
  { maker.fresh() } -> std::same_as<typename M::State>;
};

/// What is wrong with a bound or an expiry; `where` is said before their names.
template <class Options>
Result<void> check_sequences(const Options& options, const std::string& where) {
  if (options.max_sequences == 0) {
    return Error(Status::invalid_argument, where + "max_sequences: expected at least 1, got 0");
  }
  if (options.expiry <= Duration::zero()) {
    return Error(Status::invalid_argument, where + "expiry: expected more than no time");
  }
  return {};
}

/// A bounded number of states, each in memory of its own.
///
/// Threads  thread-safe; a sequence's state is its holder's alone
/// Cost     a lock to take the sequences of a batch and one to give them back, a look-up each
template <StateMaker Maker>
class Sequences {
 public:
  using State = typename Maker::State;

  struct Sequence {
    State state;
    TimePoint last = {};
    bool held = false;
  };

  /// `options` are those of `StateOptions`, or others that have the members for sequences.
  template <class Options>
  Sequences(Maker maker, const Options& options)
      : maker_(std::move(maker)),
        start_(options.start),
        most_(options.max_sequences),
        expiry_(options.expiry),
        clock_(options.clock) {}

  /// The sequences of a batch's rows, given back at the end.
  class Held {
   public:
    explicit Held(Sequences& owner) noexcept : owner_(&owner) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { owner_->give_back(*this); }

    /// That of row i, which is not refused.
    State& state(std::size_t row) const noexcept { return of_row_[row]->state; }
    /// The rows that there is no sequence for.
    Casualties& refused() noexcept { return refused_; }
    /// True when two rows are of one sequence.
    bool repeats() const noexcept { return repeats_; }

   private:
    friend class Sequences;
    Sequences* owner_;
    std::vector<Sequence*> of_row_;
    Casualties refused_;
    bool repeats_ = false;
  };

  /// Takes the sequences of these keys, all at once when nobody holds one of them: who waits holds
  /// none.
  void take(std::span<const Key> keys, Held& held) {
    held.of_row_.reserve(keys.size());
    std::unique_lock lock(mutex_);
    given_back_.wait(lock, [&] { return none_held(keys); });
    const TimePoint now = clock_.now();
    for (const Key key : keys) {
      Result<Sequence*> sequence = find_or_start(key, now);
      if (!sequence.has_value()) {
        held.of_row_.push_back(nullptr);
        held.refused_.append(held.of_row_.size() - 1, std::move(sequence).error());
        ++statistics_.refused;
        continue;
      }
      held.repeats_ = held.repeats_ || (*sequence)->held;
      (*sequence)->held = true;
      held.of_row_.push_back(*sequence);
    }
  }

  Result<void> start(Key key) {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.now();
    if (Sequence* known = find(key, now); known != nullptr) {
      return Error(Status::failed_precondition,
                   "sequence " + std::to_string(key) + " is known already");
    }
    GALLEY_TRY(begin(key, now));
    return {};
  }

  Result<void> reset(Key key) {
    std::unique_lock lock(mutex_);
    GALLEY_TRY(Sequence * sequence, idle(lock, key));
    sequence->state = maker_.fresh();
    sequence->last = clock_.now();
    return {};
  }

  Result<void> end(Key key) {
    std::unique_lock lock(mutex_);
    GALLEY_TRY(idle(lock, key));
    sequences_.erase(key);
    ++statistics_.ended;
    return {};
  }

  SequenceStatistics statistics() {
    const std::lock_guard lock(mutex_);
    sweep(clock_.now());
    SequenceStatistics statistics = statistics_;
    statistics.sequences = sequences_.size();
    return statistics;
  }

  /// Answers what may be asked of sequences; nothing where `request` is something else.
  std::optional<Result<void>> control(ControlRequest& request) {
    if (auto* asked = request.as<StartSequence>()) return start(asked->key);
    if (auto* asked = request.as<ResetSequence>()) return reset(asked->key);
    if (auto* asked = request.as<EndSequence>()) return end(asked->key);
    if (auto* asked = request.as<SequenceStatistics>()) {
      *asked = statistics();
      return Result<void>();
    }
    return std::nullopt;
  }

  void describe(Description& description) const {
    description.options.emplace_back("start",
                                     start_ == SequenceStart::asked ? "asked" : "first_row");
    description.options.emplace_back("max_sequences", std::to_string(most_));
    description.options.emplace_back("expiry", text_of(expiry_));
  }

  const Maker& maker() const noexcept { return maker_; }

 private:
  void give_back(const Held& held) noexcept {
    {
      const std::lock_guard lock(mutex_);
      const TimePoint now = clock_.now();
      for (Sequence* sequence : held.of_row_) {
        if (sequence == nullptr) continue;
        sequence->held = false;
        sequence->last = now;
      }
    }
    given_back_.notify_all();
  }

  bool none_held(std::span<const Key> keys) const {
    return std::none_of(keys.begin(), keys.end(), [this](Key key) {
      const auto known = sequences_.find(key);
      return known != sequences_.end() && known->second.held;
    });
  }

  Result<Sequence*> idle(std::unique_lock<std::mutex>& lock, Key key) {
    given_back_.wait(lock, [&] { return none_held({&key, 1}); });
    Sequence* const known = find(key, clock_.now());
    if (known == nullptr) return unknown(key);
    return known;
  }

  Error unknown(Key key) const {
    return Error(Status::not_found,
                 "there is no sequence " + std::to_string(key) + ", or it had no row for too long");
  }

  /// The sequence, unless it is not known or has expired.
  Sequence* find(Key key, TimePoint now) {
    const auto known = sequences_.find(key);
    if (known == sequences_.end()) return nullptr;
    Sequence& sequence = known->second;
    if (sequence.held || now - sequence.last <= expiry_) return &sequence;
    sequences_.erase(known);
    ++statistics_.expired;
    return nullptr;
  }

  Result<Sequence*> find_or_start(Key key, TimePoint now) {
    if (Sequence* known = find(key, now); known != nullptr) return known;
    if (start_ == SequenceStart::asked) return unknown(key);
    return begin(key, now);
  }

  Result<Sequence*> begin(Key key, TimePoint now) {
    if (sequences_.size() >= most_) sweep(now);
    if (sequences_.size() >= most_) {
      return Error(Status::resource_exhausted,
                   std::to_string(sequences_.size()) + " sequences are known, which is the bound");
    }
    if (sequences_.size() >= sweep_at_) sweep(now);
    State state = maker_.fresh();
    Sequence& sequence = sequences_[key];
    sequence.state = std::move(state);
    sequence.last = now;
    ++statistics_.started;
    return &sequence;
  }

  /// Forgets what has expired: when there are twice as many as were left last time, so that a
  /// sequence pays for a constant part of it.
  void sweep(TimePoint now) {
    statistics_.expired += std::erase_if(sequences_, [&](const auto& entry) {
      return !entry.second.held && now - entry.second.last > expiry_;
    });
    sweep_at_ = std::max<std::size_t>(64, 2 * sequences_.size());
  }

  const Maker maker_;
  const SequenceStart start_;
  const std::size_t most_;
  const Duration expiry_;
  const Clock clock_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::unordered_map<Key, Sequence> sequences_;
  std::size_t sweep_at_ = 64;
  SequenceStatistics statistics_;
};

}  // namespace galley::inline v1::detail
