// Faults: servables that misbehave on a chosen call.
#pragma once

#include <galley/core/servable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// What goes wrong on the chosen call.
enum class Fault : std::uint8_t {
  none,        ///< Nothing: to count calls.
  fails,       ///< Answers `resource_exhausted` for every row.
  throws,      ///< Throws a `std::runtime_error`; without exceptions, as `fails`.
  miscounts,   ///< Answers one row too few.
  drops,       ///< Drops the completion unanswered; where there is none, as `fails`.
  duplicates,  ///< Answers twice, the second time with errors; where there is no completion, once.
};

/// The enumerator's own name, such as "duplicates".
constexpr std::string_view to_string(Fault fault) noexcept {
  constexpr std::string_view names[] = {"none",      "fails", "throws",
                                        "miscounts", "drops", "duplicates"};
  const auto index = static_cast<std::size_t>(fault);
  return index < std::size(names) ? names[index] : std::string_view("unknown");
}

/// Counts the calls of the servables it is given to, and says when one of them has to go wrong.
///
/// Threads  thread-safe
class FaultPlan {
 public:
  /// The `nth` call from now (1, 2, …) has the fault; 0 is never.
  FaultPlan(Fault fault, std::uint64_t nth) noexcept : fault_(fault), nth_(nth) {}

  /// Counts a call and says what happens to it.
  Fault next() noexcept {
    // Relaxed: nothing but the count is shared.
    return calls_.fetch_add(1, std::memory_order_relaxed) + 1 == nth_ ? fault_ : Fault::none;
  }
  std::uint64_t calls() const noexcept { return calls_.load(std::memory_order_relaxed); }
  /// True when the fault happened.
  bool happened() const noexcept { return nth_ != 0 && calls() >= nth_; }

 private:
  Fault fault_;
  std::uint64_t nth_;
  std::atomic<std::uint64_t> calls_{0};
};

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// How a fault throws: not at all.
struct ThrowNothing {
  static void raise() {}
};
#if defined(__cpp_exceptions)
struct ThrowError {
  static void raise() { throw std::runtime_error("an injected fault"); }
};
using FaultMode = ThrowError;
#else
using FaultMode = ThrowNothing;
#endif

inline Error injected_fault() {
  return Error(Status::resource_exhausted, "an injected fault");
}

/// The child's outcomes, or as many as the fault leaves.
template <class Mode, class In, class Out>
Outcomes<Out> serve_faulty(const Servable<In, Out>& child, Fault fault, const Batch<In>& batch,
                           const BatchContext& context) {
  switch (fault) {
    case Fault::throws:
      Mode::raise();
      [[fallthrough]];
    case Fault::fails:
    case Fault::drops:
      return Outcomes<Out>::failed(batch.size(), injected_fault());
    case Fault::miscounts:
      return Outcomes<Out>::failed(batch.size() - 1, injected_fault());
    default:
      return child.serve_batch(batch, context);
  }
}

template <class In, class Out, class Mode>
struct FaultyNow {
  Servable<In, Out> child;
  std::shared_ptr<FaultPlan> plan;

  NodeTraits traits() const { return child.traits(); }
  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return serve_faulty<Mode>(child, plan->next(), batch, context);
  }
};

template <class In, class Out, class Mode>
struct FaultyLater {
  Servable<In, Out> child;
  std::shared_ptr<FaultPlan> plan;

  NodeTraits traits() const { return child.traits(); }
  void submit(Rows<In> rows, const BatchContext& context, BatchCompletion<Out> done) const {
    const Fault fault = plan->next();
    if (fault == Fault::drops) return;
    done(serve_faulty<Mode>(child, fault, Batch<In>::last_use(rows), context));
    if (fault == Fault::duplicates) done.fail(injected_fault());
  }
};

}  // namespace detail

/// `servable`, misbehaving when `plan` says so, and answering at once.
template <class In, class Out, class Mode = detail::FaultMode>
Servable<In, Out> faulty_now(Servable<In, Out> servable, std::shared_ptr<FaultPlan> plan) {
  std::string name = servable.name();
  return {std::move(name), detail::FaultyNow<In, Out, Mode>{std::move(servable), std::move(plan)}};
}

/// `servable`, misbehaving when `plan` says so, and answering through a completion.
template <class In, class Out, class Mode = detail::FaultMode>
Servable<In, Out> faulty_later(Servable<In, Out> servable, std::shared_ptr<FaultPlan> plan) {
  std::string name = servable.name();
  return {std::move(name),
          detail::FaultyLater<In, Out, Mode>{std::move(servable), std::move(plan)}};
}

}  // namespace galley::inline v1
