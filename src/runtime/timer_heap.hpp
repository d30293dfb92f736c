// TimerHeap: timed tasks by when they are due.
#pragma once

#include <galley/core/executor.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// A binary heap of tasks that know their place in it, so that any can be taken out.
///
/// Threads  under the pool's lock
/// Cost     O(log n); it allocates only while it grows
class TimerHeap {
 public:
  bool empty() const noexcept { return heap_.empty(); }

  /// The task that is due first; there is one.
  TimedTask& first() const noexcept { return *heap_.front(); }

  bool holds(const TimedTask& task) const noexcept {
    return task.place < heap_.size() && heap_[task.place] == &task;
  }

  void add(TimedTask& task) {
    heap_.push_back(&task);
    rise(heap_.size() - 1);
  }

  /// Takes out a task that is held.
  void remove(TimedTask& task) {
    const std::size_t place = task.place;
    TimedTask* last = heap_.back();
    heap_.pop_back();
    if (last != &task) {
      put(place, *last);
      rise(place);
      sink(last->place);
    }
    task.place = nowhere;
  }

  /// Takes out all tasks, in no order.
  std::vector<TimedTask*> take_all() {
    for (TimedTask* task : heap_) task->place = nowhere;
    return std::exchange(heap_, {});
  }

 private:
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

  void put(std::size_t place, TimedTask& task) noexcept {
    heap_[place] = &task;
    task.place = place;
  }

  void rise(std::size_t place) noexcept {
    TimedTask& task = *heap_[place];
    while (place > 0) {
      const std::size_t parent = (place - 1) / 2;
      if (heap_[parent]->due <= task.due) break;
      put(place, *heap_[parent]);
      place = parent;
    }
    put(place, task);
  }

  void sink(std::size_t place) noexcept {
    TimedTask& task = *heap_[place];
    for (;;) {
      std::size_t child = 2 * place + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1]->due < heap_[child]->due) ++child;
      if (task.due <= heap_[child]->due) break;
      put(place, *heap_[child]);
      place = child;
    }
    put(place, task);
  }

  std::vector<TimedTask*> heap_;
};

}  // namespace galley::inline v1::detail
