// in_order: the same answers, delivered in the order in which they were asked for.
#pragma once

#include <galley/core/servable.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// The requests of one `in_order` node whose answers are to be delivered, in the order they came.
///
/// *Who delivers.* Whoever completes the first request delivers it and all behind it that are
/// ready; one thread at a time, who answers meanwhile leaves its answer to that one. So while
/// nobody delivers, the first request has no answer yet.
template <class Out>
class InOrderQueue : public std::enable_shared_from_this<InOrderQueue<Out>> {
 public:
  /// A request in its frame, which whoever is owed the answer keeps until it is delivered.
  struct Ticket {
    Ticket(InOrderQueue& owner, BatchCompletion<Out>&& owed)
        : queue(owner), done(std::move(owed)) {}

    void answer(Outcomes<Out>&& found) {
      outcomes = std::move(found);
      queue.answered(*this);
    }
    /// Ends it, and then answers.
    void deliver() noexcept {
      BatchCompletion<Out> owed = std::move(done);
      Outcomes<Out> found = std::move(outcomes);
      this->~Ticket();
      owed(std::move(found));
    }

    InOrderQueue& queue;
    BatchCompletion<Out> done;
    Outcomes<Out> outcomes;  // handed over by the lock
    // Under the lock.
    Ticket* next = nullptr;
    bool ready = false;
  };

  InOrderQueue() = default;
  InOrderQueue(const InOrderQueue&) = delete;
  InOrderQueue& operator=(const InOrderQueue&) = delete;

  /// Takes the next place in the order.
  void enter(Ticket& ticket) {
    const std::lock_guard lock(mutex_);
    (last_ == nullptr ? first_ : last_->next) = &ticket;
    last_ = &ticket;
  }

 private:
  void answered(Ticket& ticket) {
    std::shared_ptr<InOrderQueue> keep;  // an answer may drop the graph
    std::unique_lock lock(mutex_);
    ticket.ready = true;
    if (delivering_ || first_ != &ticket) return;
    delivering_ = true;
    keep = this->shared_from_this();
    while (first_ != nullptr && first_->ready) {
      Ticket& next = *first_;
      first_ = next.next;
      if (first_ == nullptr) last_ = nullptr;
      lock.unlock();
      next.deliver();
      lock.lock();
    }
    delivering_ = false;
  }

  std::mutex mutex_;
  Ticket* first_ = nullptr;
  Ticket* last_ = nullptr;
  bool delivering_ = false;
};

template <class In, class Out>
class InOrderNode {
 public:
  static constexpr const char* kind = "in_order";
  using Queue = InOrderQueue<Out>;
  using Ticket = typename Queue::Ticket;

  explicit InOrderNode(Servable<In, Out> child)
      : child_(std::move(child)), queue_(std::make_shared<Queue>()) {}

  /// Not inline even where the child is: an answer may have to wait for another thread's.
  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Ticket>() + child_.node().frame_bytes; }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return child_.serve_batch(batch, context);
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const std::size_t n = rows.size();
    Ticket& ticket = frame.make<Ticket>(*queue_, std::move(done));
    queue_->enter(ticket);
    child_.submit_batch(
        std::move(rows), context, frame,
        BatchCompletion<Out>(
            n, [&ticket](Outcomes<Out>&& outcomes) { ticket.answer(std::move(outcomes)); },
            NoExceptions()));
  }

 private:
  Servable<In, Out> child_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace detail

/// The same servable, whose completions are called in the order in which `submit` was: for what
/// answers out of order, as `batched` does where priorities, deadlines or several workers differ.
///
/// An answer that comes early is held until all before it are delivered; errors, cancelled and
/// refused requests keep their place like any other. Completions of one node never overlap. They
/// are called by whoever completes the first request that waits, who goes on to all that are ready,
/// also those that others add meanwhile. Submissions of several threads are in the order in which
/// they reach the node. It is the node's order and no more: what comes after it in a pipeline may
/// lose it again, so that it goes outermost, and what the graph refuses before (no frame is left,
/// another number of keys than rows) has no place in it.
///
/// `serve` goes straight to the servable, its caller sees one answer only. A completion may submit;
/// it must not wait for an answer that this node is to deliver, which comes after it. A request
/// that is never answered holds up all that come after it.
///
/// Threads  thread-safe
/// Cost     a lock to enter, to answer and to deliver. No allocation: a request in order lives in
///          its frame, and a held answer keeps it, so that what waits is bounded as what is in
///          flight
/// Example  in_order(batched(pool, model))
template <class In, class Out>
Servable<In, Out> in_order(Servable<In, Out> servable) {
  std::string name = "in_order(" + servable.name() + ")";
  return Servable<In, Out>::of_node(std::move(name),
                                    detail::InOrderNode<In, Out>(std::move(servable)));
}

}  // namespace galley::inline v1
