// last_good: where a servable fails for a row, what it last answered to the same key.
#pragma once

#include <galley/core/servable.hpp>
#include <galley/core/status_set.hpp>
#include <galley/core/time.hpp>

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// How the last good values are kept.
struct LastGoodOptions {
  /// Which failures they answer; by default the service's own.
  StatusSet on = {Status::unavailable, Status::resource_exhausted, Status::deadline_exceeded,
                  Status::internal};
  /// Keys whose values are kept, at least one; those not answered for longest go first.
  std::size_t max_keys = 4096;
  /// How old a value may be; the longest time for any age.
  Duration max_age = Duration::max();
  /// Where their age is read, unless any will do.
  Clock clock = {};
};

/// What a `last_good` did, as answered to `control`.
struct LastGoodStatistics {
  std::size_t keys = 0;       ///< Whose value is kept now.
  std::uint64_t rescued = 0;  ///< Rows that failed and were answered by a value kept.
  std::uint64_t without = 0;  ///< Rows that failed, and none was kept, or it was too old.
};

namespace detail {

/// The latest value of each key, in shards so that rows of different keys rarely meet.
template <class Out>
class LastValues {
 public:
  using Value = std::shared_ptr<const Out>;

  explicit LastValues(std::size_t max_keys) : max_keys_((max_keys + shards - 1) / shards) {}

  /// Keeps a value. What it replaces, and a key that has to go, is destroyed after the lock.
  void keep(Key key, Value value, TimePoint at) {
    Shard& shard = shard_of(key);
    std::list<Entry> gone;
    const std::lock_guard lock(shard.mutex);
    if (const auto known = shard.places.find(key); known != shard.places.end()) {
      shard.entries.splice(shard.entries.end(), shard.entries, known->second);
      known->second->value.swap(value);
      known->second->at = at;
      return;
    }
    shard.entries.push_back({key, std::move(value), at});
    shard.places.emplace(key, std::prev(shard.entries.end()));
    if (shard.entries.size() <= max_keys_) return;
    shard.places.erase(shard.entries.front().key);
    gone.splice(gone.end(), shard.entries, shard.entries.begin());
  }

  /// The value of a key, where there is one that was kept at `since` or later; else null.
  Value find(Key key, TimePoint since) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto known = shard.places.find(key);
    if (known == shard.places.end() || known->second->at < since) return nullptr;
    return known->second->value;
  }

  std::size_t size() {
    std::size_t keys = 0;
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      keys += shard.entries.size();
    }
    return keys;
  }

 private:
  static constexpr std::size_t shards = 8;

  struct Entry {
    Key key;
    Value value;
    TimePoint at;
  };
  struct Shard {
    std::mutex mutex;
    std::list<Entry> entries;  // the one answered for longest ago first
    std::unordered_map<Key, typename std::list<Entry>::iterator> places;
  };

  Shard& shard_of(Key key) noexcept { return shards_[(key * 0x9E3779B97F4A7C15U) >> 61]; }

  std::size_t max_keys_;  // of a shard
  std::array<Shard, shards> shards_;
};

template <class In, class Out, class Mode>
class LastGoodNode {
 public:
  static constexpr const char* kind = "last_good";

  LastGoodNode(Servable<In, Out> child, LastGoodOptions options)
      : child_(std::move(child)),
        options_(std::move(options)),
        state_(std::make_unique<State>(options_.max_keys)) {}

  /// What it answers depends on what it answered before.
  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.deterministic = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>() + child_.node().frame_bytes; }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void describe(Description& d) const {
    d.options.emplace_back("on", to_string(options_.on));
    d.options.emplace_back("max_keys", std::to_string(options_.max_keys));
    if (options_.max_age != Duration::max()) {
      d.options.emplace_back("max_age_ns", std::to_string(options_.max_age.count()));
    }
  }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<LastGoodStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented, "a last_good knows galley::LastGoodStatistics, not " +
                                              std::string(request.type_name()));
    }
    *statistics = {.keys = state_->values.size(),
                   .rescued = state_->rescued.load(std::memory_order_relaxed),
                   .without = state_->without.load(std::memory_order_relaxed)};
    return {};
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return mended(child_.serve_batch(batch, context), context);
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const std::size_t n = rows.size();
    Call& call = frame.make<Call>(*this, context, frame, std::move(done));
    child_.submit_batch(
        std::move(rows), context, frame,
        BatchCompletion<Out>(
            n, [&call](Outcomes<Out>&& found) { call.answer(std::move(found)); }, NoExceptions()));
  }

 private:
  struct State {
    explicit State(std::size_t max_keys) : values(max_keys) {}
    LastValues<Out> values;
    // Relaxed: nothing is handed over by them.
    std::atomic<std::uint64_t> rescued{0}, without{0};
  };

  struct Call {
    Call(const LastGoodNode& of, const BatchContext& request, Frame& memory,
         BatchCompletion<Out>&& owed)
        : node(of), context(request), frame(memory), done(std::move(owed)) {}
    void answer(Outcomes<Out>&& found) {
      const FrameRef keep(frame);  // answering may let go of the request's own reference
      Outcomes<Out> outcomes = node.mended(std::move(found), context);
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(outcomes));
    }
    const LastGoodNode& node;
    const BatchContext context;
    Frame& frame;
    BatchCompletion<Out> done;
  };

  /// Keeps what is good, and answers with it what is not.
  Outcomes<Out> mended(Outcomes<Out>&& found, const BatchContext& context) const {
    const std::span<const Key> keys = context.keys();
    if (keys.empty()) return std::move(found);
    const TimePoint now = options_.max_age == Duration::max() ? TimePoint() : options_.clock.now();
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].has_value()) keep(keys[i], found[i], now);
    }
    return found.all_ok() ? std::move(found) : rescue(std::move(found), keys, now);
  }

  /// A value that cannot be copied is not kept.
  void keep(Key key, const typename Outcomes<Out>::Reference& good, TimePoint now) const {
    using Value = typename LastValues<Out>::Value;
    Result<Value> value =
        Mode::template call<Value>([&]() -> Value { return std::make_shared<const Out>(*good); });
    if (value.has_value()) state_->values.keep(key, *std::move(value), now);
  }

  Outcomes<Out> rescue(Outcomes<Out>&& found, std::span<const Key> keys, TimePoint now) const {
    const TimePoint since =
        options_.max_age == Duration::max() ? TimePoint::min() : now - options_.max_age;
    std::vector<RowIndex> as_they_are, rescued;
    Rows<Out> values = make_rows<Out>(found.casualties().size(), nullptr);
    std::size_t without = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool asked = !found[i].has_value() && options_.on.contains(found[i].status());
      if (asked && put_kept(keys[i], since, values)) {
        rescued.push_back(static_cast<RowIndex>(i));
      } else {
        as_they_are.push_back(static_cast<RowIndex>(i));
        without += asked ? 1 : 0;
      }
    }
    state_->without.fetch_add(without, std::memory_order_relaxed);
    if (rescued.empty()) return std::move(found);
    state_->rescued.fetch_add(rescued.size(), std::memory_order_relaxed);
    const std::size_t rows = found.size();
    std::array<PartOutcomes<Out>, 2> parts{
        PartOutcomes<Out>{as_they_are, select(std::move(found), as_they_are)},
        PartOutcomes<Out>{rescued, Outcomes<Out>(std::move(values))}};
    return merge<Out>(rows, parts);
  }

  bool put_kept(Key key, TimePoint since, Rows<Out>& values) const {
    const auto kept = state_->values.find(key, since);
    if (kept == nullptr) return false;
    return Mode::template call<bool>([&]() -> bool {
             values.push_back(*kept);
             return true;
           })
        .has_value();
  }

  Servable<In, Out> child_;
  LastGoodOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace detail

/// The same servable; a row that fails with one of `options.on` is answered by the value last
/// answered to its key, where one is kept and not too old. Rows without keys pass as they are.
///
/// Not for one that is stateful: it would answer with another step's value (`check` refuses it).
///
/// Threads  thread-safe
/// Cost     each row with a key that is answered: a copy of its value, one allocation and one lock,
///          of one in eight shards; memory for `max_keys` values
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<Out>)
Servable<In, Out> last_good(Servable<In, Out> servable, LastGoodOptions options = {}) {
  std::string name = "last_good(" + servable.name() + ")";
  const auto broken = [&](const char* why) {
    return Servable<In, Out>::broken(name, Error(Status::failed_precondition, why));
  };
  if (servable.traits().stateful)
    return broken("the servable is stateful: no value stands for another");
  if (options.max_keys == 0) return broken("max_keys: expected at least 1, got 0");
  if (options.max_age < Duration::zero()) return broken("max_age: expected no negative time");
  return Servable<In, Out>::of_node(std::move(name), detail::LastGoodNode<In, Out, Mode>(
                                                         std::move(servable), std::move(options)));
}

}  // namespace galley::inline v1
