// How a request enters the queue of a batcher, and leaves it without being computed.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
                                      BatchCompletion<Out>&& done) {
  if (rows.empty()) return done(Outcomes<Out>());  // no batch would take it from the queue
  const Pins* const pins = context.pins();
  Kind kind{{}, !context.keys().empty(), pins != nullptr, pins != nullptr ? pins->stamp() : 0};
  std::size_t row_bytes = 0;
  const auto look = [&] {
    kind.rows = kind_of(rows);
    row_bytes = RowKind<In>::bytes(rows);
  };
  if constexpr (RowsByColumn<In>) {  // which makes rows of its columns
    const Result<void> looked = guard_(look);
    if (!looked.has_value()) return done.fail(within(child_.name(), looked.error()));
  } else {
    look();
  }
  Request& request = frame.template make<Request>(std::move(rows), context, frame, std::move(done));
  request.row_bytes = row_bytes;
  const std::stop_token& stop = context.context().stop;
  if (context.is_single() && stop.stop_possible()) {
    request.on_stop.emplace(stop, typename Request::OnStop{&cancel, this, &request});
  }
  const std::int32_t priority = context.context().priority;
  if (needs_time() || priority != 0) request.since = time_now();

  Lock lock(mutex_);
  Result<Bucket*> bucket = admit(request, kind, priority);
  if (!bucket.has_value()) {
    if (bucket.status() == Status::resource_exhausted) statistics_.refused += request.rows;
    lock.unlock();
    BatchCompletion<Out> owed = std::move(request.done);
    request.destroy();
    return owed.fail(within(child_.name(), std::move(bucket).error()));
  }
  Runner* const runner = runner_for(**bucket);
  lock.unlock();
  wake(runner);
}

/// Takes a request into the queue: the bucket it is in, or why it may not enter.
template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::admit(Request& request, const Kind& kind, std::int32_t priority)
    -> Result<Bucket*> {
  Bucket* bucket = nullptr;
  std::optional<Error> error;
  Result<void> done = guard_([&] {
    error = refusal(request);
    if (error.has_value()) return;
    bucket = bucket_of(kind);
    if (bucket == nullptr) {
      error = Error(Status::resource_exhausted, "rows of " + std::to_string(options_.max_kinds) +
                                                    " kinds are queued, which is the bound");
      return;
    }
    error = too_late(request, *bucket);
    if (error.has_value()) return;
    request.keep_context();
    enqueue(request, *bucket, priority);
  });
  if (!done.has_value()) return std::move(done).error();
  if (error.has_value()) return *std::move(error);
  return bucket;
}

/// Why a request may not enter, whatever its rows.
template <class In, class Out, BatchPolicy Policy>
std::optional<Error> Batcher<In, Out, Policy>::refusal(const Request& request) {
  if (request.stopped) return Error(Status::cancelled, "a stop was requested");
  if (over_) return Error(Status::unavailable, "the executor was shut down");
  if (!admits_) return Error(Status::unavailable, "draining: no more requests are taken");
  if (queued_rows_ + request.rows > options_.max_queued_rows) {
    return Error(Status::resource_exhausted, std::to_string(queued_rows_) +
                                                 " rows are queued: expected room for " +
                                                 std::to_string(request.rows) + ", the bound is " +
                                                 std::to_string(options_.max_queued_rows));
  }
  const std::size_t bytes = request.rows * request.row_bytes;
  if (bytes > options_.max_queued_bytes || queued_bytes_ > options_.max_queued_bytes - bytes) {
    return Error(Status::resource_exhausted, std::to_string(queued_bytes_) +
                                                 " bytes are queued: expected room for " +
                                                 std::to_string(bytes) + ", the bound is " +
                                                 std::to_string(options_.max_queued_bytes));
  }
  return std::nullopt;
}

/// Why a request cannot be in time: its deadline has passed, or what is queued before it is
/// expected to take longer. Nothing is expected of an empty queue, so that costs are measured
/// again.
template <class In, class Out, BatchPolicy Policy>
std::optional<Error> Batcher<In, Out, Policy>::too_late(const Request& request,
                                                        const Bucket& bucket) const {
  if (request.deadline.is_never()) return std::nullopt;
  const Duration slack = request.deadline.at - request.deadline.clock.now();
  if (slack <= Duration::zero()) {
    return Error(Status::deadline_exceeded, "the deadline passed before it was queued");
  }
  if (options_.infeasible == Infeasible::keep || bucket.rows == 0) return std::nullopt;
  const std::size_t best = bucket.costs.best_size(limit());
  if (best == 0) return std::nullopt;
  const std::size_t batches = (bucket.rows / best) / slots_.places();
  const Duration before = static_cast<std::int64_t>(batches) * bucket.costs.mean(best);
  const Duration own = bucket.costs.p95(std::min<std::size_t>(best, bucket.rows + request.rows));
  if (before + own <= slack) return std::nullopt;
  return Error(Status::resource_exhausted,
               std::to_string(bucket.rows) +
                   " rows are queued before it: expected an answer within " +
                   std::to_string(slack.count()) + " ns, it would take " +
                   std::to_string((before + own).count()));
}

/// The bucket of this kind; null where there are as many as may be and all are in use.
template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::bucket_of(const Kind& kind) -> Bucket* {
  if (latest_ != nullptr && latest_->kind == kind) return latest_;
  Bucket* oldest = nullptr;
  for (const auto& bucket : buckets_) {
    if (bucket->kind == kind) return bucket.get();
    const bool in_use = bucket->rows != 0 || bucket->running != 0;
    if (!in_use && (oldest == nullptr || bucket->used < oldest->used)) oldest = bucket.get();
  }
  if (buckets_.size() < options_.max_kinds) {
    oldest = buckets_.emplace_back(std::make_unique<Bucket>()).get();
  } else if (oldest == nullptr) {
    return nullptr;
  }
  oldest->kind = kind;
  oldest->costs = first_costs(kind);
  return oldest;
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::enqueue(Request& request, Bucket& bucket, std::int32_t priority) {
  if (bucket.rows == 0) bucket.forget_lanes();
  request.number = ++arrivals_;
  bucket.used = arrivals_;
  Lane& lane = bucket.lane_of(priority, !request.deadline.is_never());
  if (needs_time() && request.since == TimePoint()) request.since = time_now();
  if (bucket.lanes.size() > 1) note_time(request, bucket);
  lane.insert(request);
  bucket.rows += request.rows;
  queued_rows_ += request.rows;
  queued_bytes_ += request.rows * request.row_bytes;
  slots_.queued(request.rows);
  if (!request.deadline.is_never()) ++deadlines_;
  ++statistics_.requests;
}

/// Where priorities compete, everybody's waiting counts from now at the latest.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::note_time(Request& request, Bucket& bucket) {
  if (request.since == TimePoint()) request.since = time_now();
  for (const auto& lane : bucket.lanes) {
    for (Queued* one = lane->last; one != nullptr && one->since == TimePoint(); one = one->before) {
      one->since = request.since;
    }
  }
}

/// What queues waits for nothing any more.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::flush() {
  for (const auto& bucket : buckets_) {
    for (const auto& lane : bucket->lanes) {
      for (Queued* one = lane->first; one != nullptr; one = one->next) {
        if (!std::exchange(one->flushed, true)) ++bucket->flushed;
      }
    }
  }
}

/// What queues untimed counts from now.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::note_times() {
  const TimePoint now = time_now();
  for (const auto& bucket : buckets_) {
    for (const auto& lane : bucket->lanes) {
      for (Queued* one = lane->first; one != nullptr; one = one->next) {
        if (one->since == TimePoint()) one->since = now;
      }
    }
  }
}

/// Takes what is left of a request out of the queue.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::dequeue(Request& request, Bucket& bucket) {
  const std::size_t rows = request.left();
  request.lane->remove(request);
  if (std::exchange(request.flushed, false)) --bucket.flushed;
  bucket.rows -= rows;
  queued_rows_ -= rows;
  queued_bytes_ -= rows * request.row_bytes;
  slots_.unqueued(rows);
  if (!request.deadline.is_never()) --deadlines_;
}

/// A stop was requested: what of the request still queues is answered.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::cancel(void* batcher, Request& request) noexcept {
  auto& self = *static_cast<Batcher*>(batcher);
  const std::shared_ptr<Batcher> keep = self.shared_from_this();
  Lock lock(self.mutex_);
  request.stopped = true;
  if (request.lane == nullptr) return;
  Bucket* bucket = nullptr;
  for (const auto& one : self.buckets_) {
    for (const auto& lane : one->lanes) {
      if (lane.get() == request.lane) bucket = one.get();
    }
  }
  std::vector<Answer<Out>> answers;
  std::vector<Request*> dead;
  const std::size_t left = request.left();
  // Without memory to say so it stays, and the child sees the stop.
  if (self.refuse(request, *bucket, Status::cancelled, "a stop was requested", answers, dead)) {
    self.statistics_.cancelled += left;
  }
  lock.unlock();
  if (!dead.empty()) request.destroy();
  for (Answer<Out>& answer : answers) std::move(answer).give(self.guard_);
}

/// Drops the requests of a bucket that can no longer be in time, whatever their priority. The last
/// request of the queue is computed as long as its deadline has not passed: what is known of costs
/// may be out of date, and nobody behind it is kept waiting.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::drop_late(Bucket& bucket, std::vector<Answer<Out>>& answers,
                                         std::vector<Request*>& dead) {
  const std::size_t best = bucket.costs.best_size(limit());
  const auto lateness = [&](const Queued& request) -> const char* {
    const Duration slack = request.deadline.at - request.deadline.clock.now();
    if (slack <= Duration::zero()) return "the deadline passed while it was queued";
    if (options_.infeasible == Infeasible::keep || bucket.rows == request.left()) return nullptr;
    const std::size_t rows = std::min(bucket.rows, best == 0 ? limit() : best);
    if (slack >= bucket.costs.p95(rows)) return nullptr;
    return "no longer expected to be in time when its turn came";
  };
  for (const auto& lane : bucket.lanes) {
    while (lane->dated && lane->first != nullptr) {
      auto& request = static_cast<Request&>(*lane->first);
      const char* const why = lateness(request);
      if (why == nullptr) break;
      const std::size_t left = request.left();
      if (!refuse(request, bucket, Status::deadline_exceeded, why, answers, dead)) return;
      statistics_.expired += left;
    }
  }
}

/// Takes what is left of a request out of the queue and answers it so. False where there is no
/// memory for that: it stays in the queue.
template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::refuse(Request& request, Bucket& bucket, Status status,
                                      const char* why, std::vector<Answer<Out>>& answers,
                                      std::vector<Request*>& dead) {
  Outcomes<Out> refused;
  const Result<void> room = guard_([&] {
    refused = Outcomes<Out>::failed(request.left(), within(child_.name(), Error(status, why)));
    request.make_room_for(1);
    make_room(answers, 1);
    make_room(dead, 1);
  });
  if (!room.has_value()) return false;
  const RowIndex first = request.taken;
  dequeue(request, bucket);
  request.taken = request.rows;
  auto answer = request.add(first, std::move(refused));
  if (!answer.has_value()) return true;
  answers.push_back(*std::move(answer));
  if (request.running == 0) dead.push_back(&request);
  return true;
}

/// The executor takes no more tasks: everything that queues is answered, after `answers`, and what
/// comes later is refused. Gives the lock up.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::close(Lock& lock, std::vector<Answer<Out>> answers) {
  over_ = true;
  for (bool all = false; !all;) {
    all = true;
    std::vector<Request*> dead;
    for (const auto& bucket : buckets_) {
      Queued* first = nullptr;
      while (all && (first = most_urgent(*bucket, TimePoint(), Duration::zero())) != nullptr) {
        all = refuse(static_cast<Request&>(*first), *bucket, Status::unavailable,
                     "the executor was shut down", answers, dead);
      }
    }
    lock.unlock();
    for (Request* request : dead) request->destroy();
    for (Answer<Out>& answer : answers) std::move(answer).give(guard_);
    answers.clear();
    if (!all) lock.lock();  // there was no memory for some: those answers have given theirs back
  }
}

}  // namespace galley::inline v1::detail
