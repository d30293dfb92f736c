// How the outcomes of a batch reach the requests that it was made of.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

/// Hands each request its outcomes, with no lock held.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::deliver(Runner& runner, Bucket& bucket, Outcomes<Out> outcomes,
                                       TimePoint start) {
  const TimePoint end = time_now();
  const Duration took = end - start;
  slots_.leave();
  std::vector<Part> parts;
  Lock lock(mutex_);
  parts.swap(runner.parts);
  const bool stolen = std::exchange(runner.stolen, false);
  runner.computing = false;
  ++looking_;
  answers_begin(runner);
  --bucket.running;
  const std::size_t rows = outcomes.size();
  statistics_.compute_time += took;
  statistics_.rows += rows;
  ++statistics_.batches;
  window_rows_ += rows;
  note_window(end);
  if (outcomes.all_ok()) (void)guard_([&] { bucket.costs.observe(runner.size, took); });
  Runner* const other = runner_to_wake();
  lock.unlock();
  wake(other);
  answer(runner, parts, std::move(outcomes), stolen);
  parts.clear();
  const Duration answering = time_now() - end;
  lock.lock();
  answer_time_ += (answering - answer_time_) / 8;
  runner.parts.swap(parts);  // its memory, for the next batch
  lock.unlock();
}

/// Gives each request its outcomes; where taking them out throws, that request hears of it.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::answer(Runner& runner, const std::vector<Part>& parts,
                                      Outcomes<Out>&& outcomes, bool stolen) {
  if (parts.size() == 1) return hand_over(parts.front(), std::move(outcomes), stolen);
  bool shared = false;
  (void)guard_([&] { shared = runner.blocks.may_share(outcomes.survivors()); });
  std::size_t first = 0;
  for (std::size_t next = 0; next != parts.size();) {
    const Result<void> all = guard_([&] {  // once, not for each: it costs what a short answer does
      for (; next != parts.size(); ++next) {
        const Part& part = parts[next];
        Outcomes<Out> own = outcomes_out(outcomes, first, part.count);
        if (!shared) SharedBlocks<Out>::unshare(own.survivors());
        first += part.count;
        hand_over(part, std::move(own), stolen);
      }
    });
    if (all.has_value()) return;
    const Part& part = parts[next++];
    first += part.count;
    hand_over(part, failed(part.count, all.error()), stolen);
  }
}

/// Gives a request the outcomes of some of its rows, with no lock held.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::hand_over(const Part& part, Outcomes<Out>&& own,
                                         bool stolen) noexcept {
  Request& request = *part.request;
  if (part.is_whole()) {
    BatchCompletion<Out> done = std::move(request.done);
    request.destroy();
    if (!stolen) done(std::move(own));
    return;
  }
  std::optional<Answer<Out>> answer;
  Lock lock(mutex_);
  if (!stolen) answer = request.add(part.first, std::move(own));
  const bool dead = --request.running == 0 && request.answered == request.rows;
  lock.unlock();
  if (dead) request.destroy();
  if (!answer.has_value()) return;
  auto pieces = (*std::move(answer)).give(guard_);
  if (pieces == nullptr) return;
  lock.lock();  // room was made at the start
  if (spare_pieces_.size() < spare_pieces_.capacity()) spare_pieces_.push_back(std::move(pieces));
}

}  // namespace galley::inline v1::detail
