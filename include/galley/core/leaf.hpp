// What an author wrote, as a node.
#pragma once

#include <galley/core/author.hpp>
#include <galley/core/node.hpp>
#include <galley/core/row_algebra.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

template <class Out>
Rows<Out> make_rows(std::size_t n, Workspace* workspace) {
  if constexpr (std::constructible_from<Rows<Out>, std::size_t, Workspace*>) {
    return Rows<Out>(n, workspace);
  } else {
    Rows<Out> rows;
    rows.reserve(n);
    return rows;
  }
}

/// Puts the name of the leaf before its rows' errors.
template <class Out>
void say_where(std::string_view name, Outcomes<Out>& outcomes) {
  for (Casualty& casualty : outcomes.casualties().mutable_span()) {
    casualty.error = within(name, std::move(casualty.error));
  }
}

/// What all leaves share: the author's function and its optional members.
template <class F>
struct AuthorBase {
  F author;
  NodeTraits stated;

  NodeTraits traits() const {
    if constexpr (requires {
                    { author.traits() } -> std::same_as<NodeTraits>;
                  }) {
      return author.traits();
    } else {
      return stated;
    }
  }
  void describe(Description& d) const {
    if constexpr (requires { author.describe(d); }) author.describe(d);
  }
  Result<void> prepare(const PrepareScope& scope) const {
    if constexpr (requires {
                    { author.prepare(scope) } -> std::same_as<Result<void>>;
                  }) {
      return author.prepare(scope);
    } else {
      return {};
    }
  }
  Result<void> control(ControlRequest& request) const {
    if constexpr (requires {
                    { author.control(request) } -> std::same_as<Result<void>>;
                  }) {
      return author.control(request);
    } else {
      return Error(Status::unimplemented,
                   "this servable does not know the request " + std::string(request.type_name()));
    }
  }
};

/// A leaf of a per-row function.
template <class F, class In, class Out, class Mode>
struct RowLeaf : AuthorBase<F> {
  static constexpr const char* kind = "map";
  std::string name;

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return serve_live<Out>(batch, context, [this](const Batch<In>& rows, const BatchContext& live) {
      return serve_rows(rows, live);
    });
  }

 private:
  Outcomes<Out> serve_rows(const Batch<In>& batch, const BatchContext& context) const {
    const std::size_t rows = batch.size();
    Outcomes<Out> outcomes(std::in_place,
                           [&] { return make_rows<Out>(rows, context.workspace()); });
    RowContexts contexts(context);
    for (std::size_t i = 0; i < rows; ++i) {
      Result<Out> result = call(batch, i, contexts.next());
      if (result.has_value()) [[likely]] {
        outcomes.survivors().push_back(*std::move(result));
      } else {
        outcomes.casualties().append(i, within(name, std::move(result).error()));
      }
    }
    return outcomes;
  }

  Result<Out> call(const Batch<In>& batch, std::size_t i, const Context& context) const {
    return Mode::template call<Out>([&]() -> Result<Out> {
      // By const reference where the author takes one: then nothing is copied to call.
      if constexpr (CallableNow<F, const In&, Context>) {
        if (!batch.is_last_use()) return call_now<Mode>(this->author, batch[i], context);
      }
      return call_now<Mode>(this->author, batch.take(i), context);
    });
  }
};

/// A leaf of a whole-batch function.
template <class F, class In, class Out, class Mode>
struct BatchLeaf : AuthorBase<F> {
  static constexpr const char* kind = "map_batch";
  std::string name;

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return serve_live<Out>(batch, context, [this](const Batch<In>& rows, const BatchContext& live) {
      return serve_rows(rows, live);
    });
  }

 private:
  Outcomes<Out> serve_rows(const Batch<In>& batch, const BatchContext& context) const {
    const bool again = this->traits().repeatable && batch.size() > 1;  // may have to ask twice
    const Batch<In> rows = again && std::copy_constructible<In> ? batch.borrowed() : batch;
    const auto call = [&](std::size_t first, std::size_t count) {
      if (count == batch.size()) return call_once(rows, context);
      std::vector<RowIndex> part(count);
      std::iota(part.begin(), part.end(), static_cast<RowIndex>(first));
      return call_once(rows.slice(first, count), ContextSelection(context, part).view());
    };
    if (again && std::copy_constructible<In>)
      return bisect<Out>(rows.size(), call, context.workspace());
    Result<Outcomes<Out>> result = call(0, rows.size());
    if (!result.has_value()) return Outcomes<Out>::failed(rows.size(), result.error());
    return *std::move(result);
  }

  Result<Outcomes<Out>> call_once(const Batch<In>& rows, const BatchContext& context) const {
    auto result = Mode::template call<Outcomes<Out>>([&]() -> Result<Outcomes<Out>> {
      if constexpr (CallableNow<F, const Batch<In>&, BatchContext>) {
        return outcomes(call_now<Mode>(this->author, rows, context));
      } else {
        if constexpr (CallableNow<F, const Rows<In>&, BatchContext>) {
          if (const Rows<In>* whole = rows.whole(); whole != nullptr && !rows.is_last_use()) {
            return outcomes(call_now<Mode>(this->author, *whole, context));
          }
        }
        return outcomes(call_now<Mode>(this->author, rows.to_rows(context.workspace()), context));
      }
    });
    if (result.has_value() && !result->answers(rows.size())) {
      result = miscounted(result->size(), rows.size());
    }
    if (!result.has_value()) return within(name, std::move(result).error());
    say_where(name, *result);
    return result;
  }

  static Result<Outcomes<Out>> outcomes(Result<Outcomes<Out>> answer) { return answer; }
  static Result<Outcomes<Out>> outcomes(Outcomes<Out> answer) { return answer; }
  static Result<Outcomes<Out>> outcomes(Rows<Out> answer) {
    return Outcomes<Out>(std::move(answer));
  }
  static Result<Outcomes<Out>> outcomes(Result<Rows<Out>> answer) {
    if (!answer.has_value()) return std::move(answer).error();
    return Outcomes<Out>(*std::move(answer));
  }
};

/// What the leaves that answer later share: how they serve now.
template <class Leaf, class In, class Out, class Mode>
Outcomes<Out> serve_later_leaf(const Leaf& leaf, const NodeHeader& node, const Batch<In>& batch,
                               const BatchContext& context) {
  return serve_by_waiting<In, Out, Mode>(
      node, batch, context,
      [&leaf](Rows<In> rows, const BatchContext& owned, Frame& frame, BatchCompletion<Out> done) {
        leaf.submit(std::move(rows), owned, frame, std::move(done));
      },
      [](Event& event, const Instant& deadline) { return wait_anywhere(event, deadline); });
}

/// A leaf of a whole-batch function that completes.
template <class F, class In, class Out, class Mode>
struct BatchLaterLeaf : AuthorBase<F> {
  static constexpr const char* kind = "map_batch_later";
  std::string name;

  NodeTraits traits() const {
    NodeTraits traits = AuthorBase<F>::traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>(); }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    return serve_later_leaf<BatchLaterLeaf, In, Out, Mode>(*this, node, batch, context);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    Casualties expired = expired_rows(context);
    if (expired.empty()) [[likely]] {
      return call(std::move(rows), context,
                  frame.make<Call>(name, std::move(done), std::move(expired)));
    }
    if (expired.size() == rows.size()) {
      return done(Outcomes<Out>(Rows<Out>(), std::move(expired)));
    }
    const std::vector<RowIndex> alive = survivors_of(rows.size(), expired);
    Call& owed = frame.make<Call>(name, std::move(done), std::move(expired));
    const BatchContext& live = owed.alive.emplace(context, alive).view();
    call(std::move(rows).select(alive), live, owed);
  }

 private:
  /// A request at the author's.
  struct Call {
    Call(std::string_view where, BatchCompletion<Out> owed, Casualties before)
        : name(where), done(std::move(owed)), expired(std::move(before)) {}
    void answer(Outcomes<Out> outcomes) {
      say_where(name, outcomes);
      Outcomes<Out> all = with_earlier(std::move(expired), std::move(outcomes));
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(all));
    }
    std::string_view name;
    BatchCompletion<Out> done;
    Casualties expired;
    std::optional<ContextSelection> alive;
  };

  void call(Rows<In> rows, const BatchContext& context, Call& owed) const {
    BatchCompletion<Out> done(
        rows.size(), [&owed](Outcomes<Out> outcomes) { owed.answer(std::move(outcomes)); },
        NoExceptions());
    // A throw inside drops the completion on its way out, which answers by itself.
    Mode::discard(
        [&] { call_later<Mode>(this->author, std::move(rows), context, std::move(done)); });
  }
};

/// A leaf of a per-row function that completes.
template <class F, class In, class Out, class Mode>
struct RowLaterLeaf : AuthorBase<F> {
  static constexpr const char* kind = "map_later";
  std::string name;

  NodeTraits traits() const {
    NodeTraits traits = AuthorBase<F>::traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Join>(); }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    return serve_later_leaf<RowLaterLeaf, In, Out, Mode>(*this, node, batch, context);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const std::size_t n = rows.size();
    Join& join = frame.make<Join>(n, name, std::move(done));
    const Batch<In> batch = Batch<In>::last_use(rows);
    RowContexts contexts(context);
    for (std::size_t i = 0; i < n; ++i) {
      const Context& own = contexts.next();
      if (const Status status = own.live(); status != Status::ok) {
        join.answer(i, Error(status));
        continue;
      }
      Mode::discard([&] {
        // Made before the row is taken: a throw from here on drops it, which answers by itself.
        Completion<Out> owed([&join, i](Result<Out> r) { join.answer(i, std::move(r)); },
                             NoExceptions());
        call_later<Mode>(this->author, batch.take(i), own, std::move(owed));
      });
    }
    join.release();
  }

 private:
  /// Collects one result per row; the last to come answers the batch. `submit` counts as one more.
  struct Join {
    Join(std::size_t n, std::string_view where, BatchCompletion<Out> owed)
        : name(where), results(n), left(n + 1), done(std::move(owed)) {
      for (std::size_t i = 0; i < n; ++i) results.push_back(Error(Status::internal));
    }
    void answer(std::size_t i, Result<Out> result) {
      results[i] = std::move(result);
      release();
    }
    // acq_rel: the last one sees the results the others wrote.
    void release() {
      if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      Rows<Out> values = make_rows<Out>(results.size(), nullptr);
      Casualties casualties;
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (results[i].has_value()) {
          values.push_back(*std::move(results[i]));
        } else {
          casualties.append(i, within(name, std::move(results[i]).error()));
        }
      }
      BatchCompletion<Out> owed = std::move(done);
      this->~Join();
      owed(Outcomes<Out>(std::move(values), std::move(casualties)));
    }
    std::string_view name;
    Rows<Result<Out>> results;
    std::atomic<std::size_t> left;
    BatchCompletion<Out> done;
  };
};

template <class F, class In, class Out, class Mode>
consteval auto leaf_kind() {
  if constexpr (ServesRows<F, In, Out>) {
    return std::type_identity<RowLeaf<F, In, Out, Mode>>();
  } else if constexpr (ServesBatches<F, In, Out>) {
    return std::type_identity<BatchLeaf<F, In, Out, Mode>>();
  } else if constexpr (CompletesRows<F, In, Out>) {
    return std::type_identity<RowLaterLeaf<F, In, Out, Mode>>();
  } else {
    return std::type_identity<BatchLaterLeaf<F, In, Out, Mode>>();
  }
}

/// The node an author's function becomes.
template <class F, class In, class Out, class Mode>
using Leaf = typename decltype(leaf_kind<F, In, Out, Mode>())::type;

}  // namespace detail

}  // namespace galley::inline v1
