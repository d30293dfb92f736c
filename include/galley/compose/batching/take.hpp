// Which rows of the queue of a batcher go into a batch.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

/// Rows larger than this are not gathered: copying them costs more than a call of their own.
inline constexpr std::size_t too_large_to_gather = std::size_t{1} << 20U;

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::take_part(Runner& runner, Bucket& bucket, Request& request,
                                         std::size_t count) {
  const auto rows = static_cast<RowIndex>(count);
  runner.parts.push_back({&request, request.taken, rows});
  ++request.running;
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
/// its key.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::take_in_sequence(Runner& runner, Bucket& bucket, std::size_t rows) {
  std::vector<Request*> waiting;
  for (const auto& lane : bucket.lanes) {
    for (Queued* one = lane->first; one != nullptr; one = one->next) {
      waiting.push_back(static_cast<Request*>(one));
    }
  }
  std::sort(waiting.begin(), waiting.end(),
            [](const Request* a, const Request* b) { return a->number < b->number; });
  std::vector<Key> seen;
  std::vector<Key> blocked;
  for (Request* request : waiting) {
    const std::size_t count = std::min(rows, takeable(*request, seen, blocked));
    if (count != 0) take_part(runner, bucket, *request, count);
    rows -= count;
    if (rows == 0) return;
  }
}

}  // namespace galley::inline v1::detail
