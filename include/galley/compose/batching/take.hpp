// Which rows of the queue of a batcher go into a batch.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

/// Rows larger than this are not gathered: copying them costs more than a call of their own.
inline constexpr std::size_t too_large_to_gather = std::size_t{1} << 20U;

/// The versions that are current now.
template <class In, class Out, BatchPolicy Policy>
std::shared_ptr<const Pins> Batcher<In, Out, Policy>::pins_of_now() const {
  auto pins = std::make_shared<Pins>();
  child_.node().table->pin(child_.node(), *pins);
  return pins;
}

/// True where rows of the request may not go along: they, or those that are taken already, are
/// bound to versions.
template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::is_of_other_versions(const Runner& runner,
                                                    const Request& request) const {
  if (!versioned_ || runner.parts.empty()) return false;
  const Pins* const bound = request.context().pins();
  if (bound == runner.bound) return false;
  return bound == nullptr || runner.bound == nullptr || bound->stamp() != runner.bound->stamp();
}

template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::new_pieces() -> std::unique_ptr<Pieces<Out>> {
  if (spare_pieces_.empty()) return std::make_unique<Pieces<Out>>();
  auto pieces = std::move(spare_pieces_.back());
  spare_pieces_.pop_back();
  return pieces;
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::take_part(Runner& runner, Bucket& bucket, Request& request,
                                         std::size_t count) {
  const auto rows = static_cast<RowIndex>(count);
  const Pins* const bound = request.context().pins();
  const bool binds = versioned_ && bound == nullptr && count != request.left();
  if (versioned_ && runner.parts.empty()) {
    runner.bound = bound;
    runner.pins = nullptr;
  }
  if (binds && runner.pins == nullptr) runner.pins = pins_of_now();
  if (count != request.rows) {
    if (request.pieces == nullptr) request.pieces = new_pieces();
    request.make_room_for(2);  // of these rows, and of a refusal of others
  }
  runner.parts.push_back({&request, request.taken, rows});
  ++request.running;                     // from here on nothing takes memory
  if (binds) request.bind(runner.pins);  // all its parts are to see one version
  if (request.taken == 0 && request.since != TimePoint() && runner.taken_at >= request.since) {
    statistics_.queue_time += runner.taken_at - request.since;
    ++statistics_.queue_timed;
  }
  if (count == request.left()) {
    dequeue(request, bucket);
    request.taken = request.rows;
    return;
  }
  request.taken += rows;
  bucket.rows -= count;
  queued_rows_ -= count;
  queued_bytes_ -= count * request.row_bytes;
  slots_.unqueued(count);
}

/// Takes the batch that was decided on, of `bucket` or of another where that goes first. False
/// where there is no memory to take any row.
template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::take_batch(Runner& runner, Bucket*& bucket,
                                          const BatchDecision& decision) {
  // A policy of a host's own may ask for what there is not.
  const std::size_t most = std::min(bucket->rows, limit());
  const std::size_t rows = std::clamp<std::size_t>(decision.rows, 1, most);
  // What was taken when memory ran out is a batch too.
  (void)guard_([&] {
    if (stateful_) return take_in_sequence(runner, bucket, rows);
    const SizedBatch sized = sized_batch(rows, options_.sizes, bucket->costs);
    take(runner, *bucket, std::min(sized.size, bucket->rows));  // rows rather than copies
  });
  std::size_t taken = 0;
  for (const Part& part : runner.parts) taken += part.count;
  if (taken == 0) return false;
  runner.size = size_for(taken);
  runner.sized = !options_.sizes.empty();
  statistics_.filled += runner.size - taken;
  runner.pins = nullptr;  // the requests have them
  ++statistics_.closed[static_cast<std::size_t>(decision.reason)];
  return true;
}

/// Takes the most urgent `rows` rows of the bucket; of rows too large to gather, those of one
/// request.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::take(Runner& runner, Bucket& bucket, std::size_t rows) {
  const TimePoint now = bucket.lanes.size() > 1 ? time_now() : TimePoint();
  while (rows != 0) {
    Queued* const first = bucket.lanes.size() == 1 ? bucket.lanes.front()->first
                                                   : most_urgent(bucket, now, options_.ageing);
    if (first == nullptr) return;
    auto& request = static_cast<Request&>(*first);
    const bool large = request.row_bytes > too_large_to_gather;
    if (large && !runner.parts.empty()) return;
    if (is_of_other_versions(runner, request)) return;
    const std::size_t count = std::min(rows, request.left());
    take_part(runner, bucket, request, count);
    rows -= count;
    if (large) return;
  }
}

/// How many of a request's next rows may go into a batch that holds rows of the keys `seen`, where
/// rows of the keys `blocked` have to wait for earlier ones; adds to both.
template <class In, class Out, BatchPolicy Policy>
std::size_t Batcher<In, Out, Policy>::takeable(const Request& request, std::vector<Key>& seen,
                                               std::vector<Key>& blocked) {
  const std::span<const Key> keys = request.context().keys();
  if (keys.empty()) return request.left();
  const auto has = [](const std::vector<Key>& list, Key key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  };
  std::size_t count = 0;
  for (const Key key : keys.subspan(request.taken)) {
    if (has(seen, key) || has(blocked, key)) break;
    seen.push_back(key);
    ++count;
  }
  for (const Key key : keys.subspan(request.taken + count)) blocked.push_back(key);
  return count;
}

/// The same of a stateful servable: of each key one row at most, and none before an earlier one of
/// its key, whatever its kind. Where all rows of `bucket` wait for such, those of the earliest
/// request go instead, and `bucket` becomes theirs.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::take_in_sequence(Runner& runner, Bucket*& bucket, std::size_t rows) {
  struct Waiting {
    Request* request;
    Bucket* bucket;
  };
  std::vector<Waiting> waiting;
  for (const auto& one : buckets_) {
    for (const auto& lane : one->lanes) {
      for (Queued* queued = lane->first; queued != nullptr; queued = queued->next) {
        waiting.push_back({static_cast<Request*>(queued), one.get()});
      }
    }
  }
  std::sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
    return a.request->number < b.request->number;
  });
  for (;; bucket = waiting.front().bucket) {
    std::vector<Key> seen;
    std::vector<Key> blocked;
    for (const Waiting& one : waiting) {
      const bool large = one.request->row_bytes > too_large_to_gather;
      if (one.bucket != bucket || is_of_other_versions(runner, *one.request) ||
          (large && !runner.parts.empty())) {
        const auto keys = one.request->context().keys();
        if (!keys.empty()) {
          blocked.insert(blocked.end(), keys.begin() + one.request->taken, keys.end());
        }
        continue;
      }
      const std::size_t count = std::min(rows, takeable(*one.request, seen, blocked));
      if (count != 0) take_part(runner, *bucket, *one.request, count);
      rows -= count;
      if (rows == 0 || (large && count != 0)) break;
    }
    if (!runner.parts.empty()) return;
  }
}

}  // namespace galley::inline v1::detail
