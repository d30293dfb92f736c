// slot: a servable whose insides can be replaced while it serves.
#pragma once

#include <galley/core/epoch.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/stripe.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// How a slot keeps what it served before.
struct SlotOptions {
  /// Versions kept beside the current one, to roll back to; the oldest go first.
  std::size_t keep = 2;
};

/// What a slot holds, as answered to `control`.
struct SlotStatus {
  VersionId current = 0;
  std::vector<VersionId> kept;  ///< Ascending, the current one among them.
  std::size_t retired = 0;      ///< Replaced, no longer kept, and still read by somebody.
};

namespace detail {

/// One version: a servable and who reads it. The memory is reused for later versions and freed only
/// with the slot, so that a reader that comes too late may still touch the counts.
template <class In, class Out>
struct Version {
  static constexpr std::size_t stripes = 8;
  struct alignas(64) Stripe {
    std::atomic<std::uint64_t> readers{0};
  };
  VersionId id = 0;
  std::optional<Servable<In, Out>> servable;
  std::array<Stripe, stripes> counts;
  std::vector<std::pair<std::shared_ptr<EpochDomain>, std::uint64_t>> retired_at;
};

/// What the servable and the publisher of a slot share.
///
/// Readers on an executor's worker are protected by its epochs: they load one pointer. Other
/// readers, and requests that answer later, count themselves in and out. Control calls hold the
/// mutex.
template <class In, class Out>
class SlotState {
 public:
  using V = Version<In, Out>;

  SlotState(Servable<In, Out> first, SlotOptions options) : options_(options) {
    V& v = fresh(std::move(first));
    kept_.push_back(&v);
    current_.store(&v, std::memory_order_seq_cst);
  }

  /// Holds a version for as long as it lives.
  class Hold {
   public:
    Hold(V& version, std::atomic<std::uint64_t>& readers) noexcept
        : version_(&version), readers_(&readers) {}
    Hold(Hold&& other) noexcept
        : version_(other.version_), readers_(std::exchange(other.readers_, nullptr)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      // Release: pairs with the publisher's load, which must see our reads done.
      if (readers_ != nullptr) readers_->fetch_sub(1, std::memory_order_release);
    }
    V& version() const noexcept { return *version_; }
    std::atomic<std::uint64_t>& let_go() noexcept { return *std::exchange(readers_, nullptr); }

   private:
    V* version_;
    std::atomic<std::uint64_t>* readers_;
  };

  /// The current version, counted. Lock-free: tries again only while a publish goes on.
  Hold hold() const noexcept {
    for (;;) {
      V* v = current_.load(std::memory_order_seq_cst);
      auto& readers = v->counts[this_thread_stripe(V::stripes)].readers;
      // seq_cst: either the publisher sees this count, or the load below sees its new version.
      readers.fetch_add(1, std::memory_order_seq_cst);
      if (current_.load(std::memory_order_seq_cst) == v) return Hold(*v, readers);
      readers.fetch_sub(1, std::memory_order_release);
    }
  }

  /// The current version where this thread's epochs protect it until its task ends, else null.
  V* read_on_worker() const {
    const Worker* worker = Worker::current();
    if (worker == nullptr || worker->epochs() == nullptr) return nullptr;
    if (!knows(worker->epochs().get()) && !get_to_know(worker->epochs())) return nullptr;
    return current_.load(std::memory_order_seq_cst);
  }

  Result<VersionId> publish(Servable<In, Out> next, const NodeTraits& promised) {
    GALLEY_TRY(next.check());
    NodeTraits together = promised & next.traits();
    together.versioned = promised.versioned;
    if (!(together == promised)) {
      return Error(
          Status::failed_precondition,
          "publish \"" + next.name() +
              "\": the slot's first version promised more (inline, stateless, deterministic, "
              "repeatable, row-independent or of mixed shapes) than this one keeps");
    }
    std::vector<Servable<In, Out>> dead;  // destroyed after the lock, on this thread
    const std::lock_guard lock(mutex_);
    V& v = fresh(std::move(next));
    kept_.push_back(&v);
    make_current(v);
    while (kept_.size() > options_.keep + 1) {
      const auto oldest = kept_.front() == current_.load() ? kept_.begin() + 1 : kept_.begin();
      retire(**oldest);
      kept_.erase(oldest);
    }
    collect(dead);
    return v.id;
  }

  Result<VersionId> rollback(std::optional<VersionId> to) {
    const std::lock_guard lock(mutex_);
    const VersionId now = current_.load()->id;
    V* target = nullptr;
    for (V* v : kept_) {
      if (to.has_value() ? v->id == *to : v->id < now) target = v;
    }
    if (target == nullptr) {
      return Error(Status::not_found,
                   to.has_value() ? "version " + std::to_string(*to) + " is not kept"
                                  : "no version before " + std::to_string(now) + " is kept");
    }
    make_current(*target);
    return target->id;
  }

  SlotStatus status() {
    std::vector<Servable<In, Out>> dead;
    const std::lock_guard lock(mutex_);
    collect(dead);
    SlotStatus status{.current = current_.load()->id, .kept = {}, .retired = retired_.size()};
    for (const V* v : kept_) status.kept.push_back(v->id);
    return status;
  }

 private:
  V& fresh(Servable<In, Out> servable) {
    if (unused_.empty()) {
      all_.push_back(std::make_unique<V>());
      unused_.push_back(all_.back().get());
    }
    V& v = *unused_.back();
    unused_.pop_back();
    v.id = ++last_id_;
    v.servable.emplace(std::move(servable));
    return v;
  }

  void make_current(V& v) noexcept { current_.store(&v, std::memory_order_seq_cst); }

  void retire(V& v) {
    for (const auto& domain : domains_) v.retired_at.emplace_back(domain, domain->advance());
    retired_.push_back(&v);
  }

  static bool is_read(const V& v) noexcept {
    for (const auto& stripe : v.counts) {
      if (stripe.readers.load(std::memory_order_seq_cst) != 0) return true;
    }
    for (const auto& [domain, epoch] : v.retired_at) {
      if (!domain->passed(epoch)) return true;
    }
    return false;
  }

  void collect(std::vector<Servable<In, Out>>& dead) {
    std::erase_if(retired_, [&](V* v) {
      if (is_read(*v)) return false;
      dead.push_back(*std::move(v->servable));
      v->servable.reset();
      v->retired_at.clear();
      unused_.push_back(v);
      return true;
    });
  }

  bool knows(const EpochDomain* domain) const noexcept {
    for (const auto& known : known_) {
      const EpochDomain* k = known.load(std::memory_order_acquire);
      if (k == domain) return true;
      if (k == nullptr) return false;
    }
    return false;
  }

  /// From its return on, retiring waits for the domain's workers; false when too many domains read.
  [[gnu::noinline]] bool get_to_know(const std::shared_ptr<EpochDomain>& domain) const {
    const std::lock_guard lock(mutex_);
    if (knows(domain.get())) return true;
    if (domains_.size() == known_.size()) return false;
    domains_.push_back(domain);
    known_[domains_.size() - 1].store(domain.get(), std::memory_order_release);
    return true;
  }

  SlotOptions options_;
  std::atomic<V*> current_{nullptr};
  mutable std::array<std::atomic<const EpochDomain*>, 8> known_{};
  mutable std::mutex mutex_;  // guards everything below
  mutable std::vector<std::shared_ptr<EpochDomain>> domains_;
  std::vector<std::unique_ptr<V>> all_;
  std::vector<V*> unused_, kept_, retired_;
  VersionId last_id_ = 0;
};

template <class In, class Out>
class SlotNode {
 public:
  static constexpr const char* kind = "slot";
  using Hold = typename SlotState<In, Out>::Hold;

  SlotNode(std::shared_ptr<SlotState<In, Out>> state, NodeTraits traits)
      : state_(std::move(state)), traits_(traits) {}

  NodeTraits traits() const { return traits_; }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    const Hold hold = state_->hold();
    visit(hold.version().servable->node());
  }
  void describe(Description& d) const {
    d.options.emplace_back("version", std::to_string(state_->hold().version().id));
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* status = request.as<SlotStatus>()) {
      *status = state_->status();
      return {};
    }
    return Error(Status::unimplemented,
                 "a slot knows galley::SlotStatus, not " + std::string(request.type_name()));
  }
  void pin(Pins& pins) const {
    if (pins.find(state_.get()) != nullptr) return;
    Hold hold = state_->hold();
    auto& v = hold.version();
    v.servable->node().table->pin(v.servable->node(), pins);
    pins.add(state_.get(), &v, v.id, hold.let_go(), state_);
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    if (context.pins() == nullptr && traits_.inline_only) [[likely]] {
      if (const auto* v = state_->read_on_worker()) return v->servable->serve_batch(batch, context);
    }
    return serve_held(batch, context);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const auto* pinned = pinned_in(context);
    std::optional<Hold> hold;
    if (pinned == nullptr) hold.emplace(state_->hold());
    const Servable<In, Out>& child = *(pinned ? *pinned : hold->version()).servable;
    if (child.traits().inline_only) {
      return done(child.serve_batch(Batch<In>::last_use(rows), context));
    }
    // A version's own frame: another version may need another size.
    FrameRef taken = child.node().frames.take();
    if (!taken) {
      return done.fail(
          Error(Status::resource_exhausted, child.name() + ": all request frames are in use"));
    }
    const FrameRef keep(*taken);
    Frame& inner = *taken;
    inner.graph = state_;  // the version is kept by the count, or by the pins in the context
    if (hold.has_value()) inner.readers = &hold->let_go();
    inner.context.assign(context);
    Call& call = frame.make<Call>(std::move(taken), std::move(done));
    child.submit_batch(
        std::move(rows), inner.context.view(), inner,
        BatchCompletion<Out>(
            call.done.rows(), [&call](Outcomes<Out> outcomes) { call.answer(std::move(outcomes)); },
            NoExceptions()));
  }

 private:
  /// On the version the request is bound to, or counted. Out of line: the worker's way stays short.
  [[gnu::noinline]] Outcomes<Out> serve_held(const Batch<In>& batch,
                                             const BatchContext& context) const {
    if (const auto* pinned = pinned_in(context))
      return pinned->servable->serve_batch(batch, context);
    const Hold hold = state_->hold();
    return hold.version().servable->serve_batch(batch, context);
  }

  /// A request that a version answers later.
  struct Call {
    Call(FrameRef memory, BatchCompletion<Out> owed)
        : frame(std::move(memory)), done(std::move(owed)) {}
    void answer(Outcomes<Out> outcomes) {
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(outcomes));
    }
    FrameRef frame;
    BatchCompletion<Out> done;
  };

  const Version<In, Out>* pinned_in(const BatchContext& context) const noexcept {
    if (context.pins() == nullptr) [[likely]]
      return nullptr;
    return static_cast<const Version<In, Out>*>(context.pins()->find(state_.get()));
  }

  std::shared_ptr<SlotState<In, Out>> state_;
  NodeTraits traits_;
};

}  // namespace detail

/// The control side of a slot. A handle: copies share the slot.
///
/// Replaced versions are destroyed inside these calls, never on a serving thread, once nobody reads
/// them, or else in the next call. Work that a `serve` gave up at its deadline keeps what it uses.
///
/// Threads  thread-safe
template <class In, class Out>
class Publisher {
 public:
  /// Makes `next` the current version. Rows that are being served finish on the version they began
  /// with.
  ///
  /// Errors  `next.check()`'s; `failed_precondition` when it keeps less than the first version's
  ///         traits
  Result<VersionId> publish(Servable<In, Out> next) const {
    return state_->publish(std::move(next), traits_);
  }

  /// Makes the version before the current one current again, or the one named.
  ///
  /// Errors  `not_found` when it is not kept
  Result<VersionId> rollback() const { return state_->rollback(std::nullopt); }
  Result<VersionId> rollback(VersionId to) const { return state_->rollback(to); }

  /// What the slot holds now; destroys retired versions that nobody reads any more.
  SlotStatus status() const { return state_->status(); }

 private:
  template <class A, class B>
  friend auto slot(std::string, Servable<A, B>, SlotOptions);
  Publisher(std::shared_ptr<detail::SlotState<In, Out>> state, NodeTraits traits)
      : state_(std::move(state)), traits_(traits) {}
  std::shared_ptr<detail::SlotState<In, Out>> state_;
  NodeTraits traits_;
};

/// A slot's two sides.
template <class In, class Out>
struct Slotted {
  Servable<In, Out> servable;
  Publisher<In, Out> publisher;
};

/// A servable named `name` whose insides, at first `first`, its publisher replaces while it serves.
///
/// All rows of a batch are answered by one version, and with `pin` all parts of a split request.
/// Its traits are those of `first`; later versions must keep them.
///
/// Cost  reading: one acquire load on an executor's worker, two atomic additions elsewhere
/// Source  reader counts checked against the pointer: after M. M. Michael, "Hazard pointers", IEEE
///         TPDS
///         2004. Differs: striped counts per version instead of one pointer per thread.
template <class In, class Out>
auto slot(std::string name, Servable<In, Out> first, SlotOptions options = {}) {
  NodeTraits traits = first.traits();
  traits.versioned = true;
  auto state = std::make_shared<detail::SlotState<In, Out>>(std::move(first), options);
  return Slotted<In, Out>{
      Servable<In, Out>::of_node(std::move(name), detail::SlotNode<In, Out>(state, traits)),
      Publisher<In, Out>(state, traits)};
}

}  // namespace galley::inline v1
