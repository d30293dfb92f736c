// How a batch is run and its rows are answered, on a worker or by a caller.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

/// Lets other threads go first. Locked on both ends.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::yield_for(Runner& runner, Bucket& bucket, Lock& lock) {
  const std::size_t before = bucket.rows;
  lock.unlock();
  executor_.yield();
  lock.lock();
  runner.looks = {runner.looks.yields + 1, before};
  ++statistics_.yields;
}

/// Ends the window that is measured, where it is long enough, and begins another.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::note_window(TimePoint now) {
  constexpr Duration shortest = std::chrono::milliseconds(4);
  constexpr Duration longest =
      std::chrono::milliseconds(100);  // beyond that it was idle in between
  const Duration took = now - window_start_;
  if (took < shortest) return;
  const std::uint64_t inline_runs = slots_.inline_runs();
  trial_.observe({.rows = window_rows_ + inline_runs - window_inline_,
                  .took = took,
                  .contended = window_contended_ && took < longest});
  let_callers_run();
  window_start_ = now;
  window_rows_ = 0;
  window_inline_ = inline_runs;
  window_contended_ = false;
}

/// Takes a batch, runs it and answers. False where there is none to take now.
template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::run_batch(Runner& runner) {
  std::vector<Answer<Out>> late;
  std::vector<Request*> dead;
  Bucket* bucket = nullptr;
  Lock lock(mutex_);
  runner.looks = Looks();
  answers_given(runner);
  for (;;) {
    const TimePoint now = looks_at_time() ? time_now() : TimePoint();
    if (deadlines_ != 0) {
      for (const auto& one : buckets_) drop_late(*one, late, dead);
      if (!late.empty()) {  // answered before a place is taken: who hears it may serve
        bucket = nullptr;
        break;
      }
    }
    const Choice choice = choose(now, runner.looks);
    bucket = choice.bucket;
    if (bucket == nullptr) break;
    if (choice.decision.act == BatchDecision::Act::yield) {
      yield_for(runner, *bucket, lock);
      continue;
    }
    if (choice.decision.act == BatchDecision::Act::wait) {
      arm(lock, look_again(now, choice.decision));
      bucket = nullptr;
    } else if (!slots_.enter()) {
      bucket = nullptr;  // taken by callers; the first of them to leave sends a worker
    } else {
      runner.taken_at = now;
      if (!take_batch(runner, bucket, choice.decision)) {
        bucket = nullptr;
        slots_.leave();
      }
    }
    break;
  }
  Runner* other = nullptr;
  if (!late.empty()) answers_begin(runner);
  if (bucket != nullptr) {
    ++batches_;
    ++bucket->running;
    latest_ = bucket;
    runner.computing = true;
    if (runner.parts.size() > 1 || bucket->rows != 0) window_contended_ = true;
    --looking_;
    other = runner_to_wake();
  }
  lock.unlock();
  wake(other);
  for (Request* request : dead) request->destroy();
  for (Answer<Out>& answer : late) std::move(answer).give(guard_);
  if (bucket == nullptr) return !late.empty();
  const TimePoint start = time_now();
  std::optional<RunsHere> here(std::in_place, this);
  Outcomes<Out> outcomes = compute(runner, *bucket);
  here.reset();
  deliver(runner, *bucket, std::move(outcomes), start);
  return true;
}

/// What the child answers to a batch: as many outcomes as it has rows, whatever the child does.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::ask(const Batch<In>& batch, const BatchContext& context) {
  const std::size_t rows = batch.size();
  Outcomes<Out> outcomes = child_.serve_batch(batch, context);
  if (outcomes.answers(rows)) [[likely]]
    return outcomes;
  return Outcomes<Out>::failed(rows, within(child_.name(), miscounted(outcomes.size(), rows)));
}

/// The outcomes of the batch that was taken.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::compute(Runner& runner, Bucket& bucket) {
  std::size_t rows = 0;
  for (const Part& part : runner.parts) rows += part.count;
  Outcomes<Out> outcomes = guarded(rows, [&] { return gather_and_ask(runner, bucket, rows); });
  runner.gathered.clear();
  runner.context.clear();  // a trace is not to live as long as this
  return outcomes;
}

template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::gather_and_ask(Runner& runner, Bucket& bucket,
                                                       std::size_t rows) {
  const std::vector<Part>& parts = runner.parts;
  const Part& only = parts.front();
  if (parts.size() == 1 && only.is_whole() && !runner.sized) {
    return ask(Batch<In>::last_use(only.request->values), only.request->context());
  }
  const std::shared_ptr<const Pins>* pins = nullptr;  // of one request at least, if of any
  runner.context.clear();
  for (const Part& part : parts) {
    const BatchContext own = part.request->context();
    runner.context.add(own, part.first, part.count);
    if (own.pins() != nullptr) pins = own.shared_pins();
  }
  Batch<In> batch;
  if (parts.size() == 1 && runner.size == rows) {
    batch = runner.gathered.only(only.request->values, only.first, only.count);
  } else {
    Rows<In> copies;
    if (rows != runner.size) {
      const Part& last = parts.back();
      const std::size_t row = last.first + last.count - 1;
      runner.context.repeat(last.request->context(), row, runner.size - rows);
      while (copies.size() != runner.size - rows) {
        copies.push_back(std::as_const(last.request->values)[row]);
      }
    }
    runner.gathered.begin(bucket.kind.rows, runner.size);
    for (const Part& part : parts) {
      runner.gathered.add(part.request->values, part.first, part.count);
    }
    if (!copies.empty()) runner.gathered.add(copies, 0, copies.size());
    batch = runner.gathered.batch();
  }
  return runner.sized ? ask_sized(batch, runner.context, pins, rows)
                      : ask(batch, runner.context.view(pins));
}

/// What the child answers to a batch that is to keep its size; only its first `rows` rows count.
/// A row whose deadline has passed is computed with the others, and answered that.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::ask_sized(const Batch<In>& batch, MergedContext& context,
                                                  const std::shared_ptr<const Pins>* pins,
                                                  std::size_t rows) {
  Casualties expired = expired_rows(context.view(pins));
  const std::size_t late = expired.before(rows);
  std::vector<Outcomes<Out>> pieces;
  Outcomes<Out> outcomes;
  if (late != rows) {
    context.keep_rows();
    outcomes = ask(batch, context.view(pins));
  }
  std::size_t next = 0;
  for (Casualty& casualty : expired.mutable_span().first(late)) {
    if (casualty.row != next) {
      pieces.push_back(outcomes_out(outcomes, next, casualty.row - next));
    }
    pieces.push_back(Outcomes<Out>::failed(1, std::move(casualty.error)));
    next = casualty.row + 1;
  }
  if (pieces.empty() && rows == batch.size()) return outcomes;
  if (next != rows) pieces.push_back(outcomes_out(outcomes, next, rows - next));
  return joined(std::span(pieces));
}

/// A caller's own batch, on its thread. One row in sixteen is timed; of more rows, each slice.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::serve_inline(const Batch<In>& batch,
                                                     const BatchContext& context) {
  constexpr std::uint64_t timed_every = 16;
  const bool timed = batch.size() > 1 || slots_.inline_runs() % timed_every == 0;
  const RunsHere here(this);
  const InlinePlace place{*this};  // given back also where a lent workspace throws
  if (!timed) return child_.serve_batch(batch, context);
  return guarded(batch.size(), [&] { return serve_in_slices(batch, context); });
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::leave_inline() {
  if (!slots_.leave_inline()) [[likely]]
    return;
  Lock lock(mutex_);
  window_contended_ = true;
  Runner* const runner = runner_to_wake();
  lock.unlock();
  wake(runner);
}

/// The batch of a caller above another that waits: at once, the place of that one being idle. Of a
/// stateful servable only one may run.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::serve_above(const Batch<In>& batch,
                                                    const BatchContext& context) {
  const auto failed = [&](Status status, const char* why) {
    return Outcomes<Out>::failed(batch.size(), Error(status, child_.name() + ": " + why));
  };
  if (stateful_) {
    return failed(Status::failed_precondition, "the batch that runs waits beneath this call");
  }
  {
    const Lock lock(mutex_);
    if (!admits_) return failed(Status::unavailable, "draining: no more requests are taken");
  }
  return guarded(batch.size(), [&] { return serve_in_slices(batch, context); });
}

/// How many of the last `rows` rows of a caller's batch go next.
template <class In, class Out, BatchPolicy Policy>
std::size_t Batcher<In, Out, Policy>::next_slice(const Batch<In>& batch, std::size_t rows) {
  const Bucket* const bucket = bucket_of(Kind{kind_of(batch)});
  const std::size_t most = std::min(rows, limit());
  if (bucket == nullptr) return most;
  BatchView view;
  view.rows = rows;
  view.limit = limit();
  view.oldest = policy_.max_wait();
  view.yields = std::numeric_limits<unsigned>::max();  // there is nobody to wait for
  view.rows_before = rows;
  view.number = ++batches_;
  view.costs = &bucket->costs;
  const BatchDecision decision = policy_.decide(view);
  if (decision.act != BatchDecision::Act::close) return most;
  const std::size_t count = std::clamp<std::size_t>(decision.rows, 1, most);
  return std::min(sized_batch(count, options_.sizes, bucket->costs).size, rows);
}

/// Rows `first` to `first + count - 1` of a caller's batch, filled up to `size`.
template <class In, class Out, BatchPolicy Policy>
Outcomes<Out> Batcher<In, Out, Policy>::serve_slice(const Batch<In>& batch,
                                                    const BatchContext& context, std::size_t first,
                                                    std::size_t count, std::size_t size, bool sized,
                                                    const std::shared_ptr<const Pins>* pins) {
  if (!sized && count == batch.size()) return ask(batch, context);
  MergedContext part(context.workspace());
  part.add(context, first, count);
  if (!sized) return ask(batch.slice(first, count), part.view(pins));
  if (count == size) return ask_sized(batch.slice(first, count), part, pins, count);
  std::array<Rows<In>, 2> parts;  // and copies
  Rows<In> filled;
  const Result<void> made = guard_([&] {
    parts[0] = batch.slice(first, count).borrowed().to_rows();
    while (parts[1].size() != size - count) {
      parts[1].push_back(std::as_const(parts[0])[count - 1]);
    }
    filled = Rows<In>::concatenate(parts);
  });
  if (!made.has_value()) return Outcomes<Out>::failed(count, within(child_.name(), made.error()));
  part.repeat(context, first + count - 1, size - count);
  return ask_sized(filled, part, pins, count);
}

/// How many of `count` rows from row `first` on come before one whose key is among them.
inline std::size_t rows_of_other_keys(std::span<const Key> keys, std::size_t first,
                                      std::size_t count) {
  if (keys.empty()) return count;
  const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(first);
  for (std::size_t i = 1; i < count; ++i) {
    const auto key = begin + static_cast<std::ptrdiff_t>(i);
    if (std::find(begin, key, *key) != key) return i;
  }
  return count;
}

/// A caller's batch in slices that the policy would close, each timed.
template <class In, class Out, BatchPolicy Policy>
[[gnu::noinline]] Outcomes<Out> Batcher<In, Out, Policy>::serve_in_slices(
    const Batch<In>& batch, const BatchContext& context) {
  const Kind kind{kind_of(batch)};
  std::pmr::vector<Outcomes<Out>> pieces(resource_of(context.workspace()));
  std::shared_ptr<const Pins> pins = context.pins() != nullptr ? *context.shared_pins() : nullptr;
  Lock lock(mutex_);
  for (std::size_t first = 0; first < batch.size();) {
    std::size_t count = next_slice(batch, batch.size() - first);
    if (stateful_) count = rows_of_other_keys(context.keys(), first, count);
    const std::size_t size = size_for(count);
    const bool sized = !options_.sizes.empty();
    lock.unlock();
    const bool whole = count == batch.size();
    if (!whole && versioned_ && pins == nullptr) pins = pins_of_now();  // one version for all
    const TimePoint start = time_now();
    Outcomes<Out> outcomes =
        serve_slice(batch, context, first, count, size, sized, pins != nullptr ? &pins : nullptr);
    const TimePoint end = time_now();
    const bool well = outcomes.all_ok();
    if (!whole) pieces.push_back(std::move(outcomes));
    lock.lock();
    Bucket* const bucket = bucket_of(kind);
    if (bucket != nullptr) latest_ = bucket;
    if (bucket != nullptr && well) bucket->costs.observe(size, end - start);
    window_rows_ += first == 0 ? count - 1 : count;  // the run itself counts for one
    note_window(end);
    if (whole) return outcomes;  // NOLINT(bugprone-use-after-move): a new one each turn
    first += count;
  }
  lock.unlock();
  return joined(std::span<Outcomes<Out>>(pieces), context.workspace());
}

}  // namespace galley::inline v1::detail
