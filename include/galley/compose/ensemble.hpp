// ensemble: the same rows to several members, whose answers are combined row by row.
#pragma once

#include <galley/compose/ensembling/node.hpp>
#include <galley/compose/ensembling/options.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/policy/combine.hpp>
#include <galley/policy/combine/first.hpp>
#include <galley/policy/combine/majority_vote.hpp>
#include <galley/policy/combine/max_confidence.hpp>
#include <galley/policy/combine/mean.hpp>
#include <galley/policy/combine/soft_vote.hpp>
#include <galley/policy/combine/stack.hpp>
#include <galley/policy/combine/weighted_mean.hpp>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

template <class M>
struct MemberTypes;
template <class I, class O>
struct MemberTypes<Servable<I, O>> {
  using In = I;
  using Mid = O;
};
template <class I, class O>
struct MemberTypes<Member<I, O>> {
  using In = I;
  using Mid = O;
};

}  // namespace detail

/// A servable, or one with a vote to stand in for it.
template <class M>
concept EnsembleMember = requires { typename detail::MemberTypes<M>::Mid; };

/// A combiner of what members M answer.
template <class C, class M>
concept CombinerOf = Combiner<C, typename detail::MemberTypes<M>::Mid>;

namespace detail {

template <class M, class C>
using EnsembleOf =
    Servable<typename MemberTypes<M>::In, CombinedOf<C, typename MemberTypes<M>::Mid>>;

template <class M, class C, class Mode>
EnsembleOf<M, C> make_ensemble(std::optional<Executor> executor, C combiner,
                               std::span<const M> given, const EnsembleOptions& options) {
  using In = typename MemberTypes<M>::In;
  using Mid = typename MemberTypes<M>::Mid;
  using Node = EnsembleNode<In, Mid, C, Mode>;
  std::vector<Member<In, Mid>> members;
  std::string name;
  for (const M& one : given) {
    if constexpr (AnyServable<M>) {
      members.push_back(member(one));
    } else {
      members.push_back(one);
    }
    name.append(name.empty() ? "ensemble(" : ", ").append(members.back().servable.name());
  }
  name.append(name.empty() ? "ensemble()" : ")");
  Result<void> fits = check_ensemble(members.size(), options, executor.has_value());
  if constexpr (requires { combiner.check(members.size()); }) {
    if (fits.has_value()) fits = combiner.check(members.size());
  }
  if (!fits.has_value()) {
    return EnsembleOf<M, C>::broken(std::move(name), std::move(fits).error());
  }
  typename Node::Members ballot(name, std::move(combiner), std::move(members), options);
  return EnsembleOf<M, C>::of_node(std::move(name), Node(std::move(executor), std::move(ballot)));
}

}  // namespace detail

/// The same rows to every member, and what they say of a row combined.
///
/// `ensemble(SoftVote{}, {a, b, c}, {.quorum = 2})`. The members have the same types; where they
/// are to see the row differently, a view goes before: `map(view) | model`. Combiners are policies
/// (`policy/combine.hpp`), or a function of the votes: `[](const Votes<double>& votes) { ... }`.
///
/// A row fails where fewer members answer than the quorum wants, with the status of the first
/// member that is missing and a text that names it. Of a row whose outcome is certain, because its
/// vote is decided or its quorum out of reach, no more members are asked. Slots beneath several
/// members are read at one version.
///
/// Without an executor the members are asked in turn, on the caller's thread; those that answer
/// later are submitted to at once before that, by `serve` where its thread can wait for all of
/// them.
///
/// Errors   as above; what the combiner says; internal: it threw; failed_precondition (`check`): no
///          members or more than 256, options that contradict each other
/// Threads  thread-safe
/// Cost     in turn: no copy of a row, and for up to 8 members no allocation but the answers' own
///          and the combiner's; of a single member that `First` and its like take, two counters
/// Example  examples/ensemble.cpp
template <class C, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(CombinerOf<C, M> && std::copy_constructible<typename detail::MemberTypes<M>::In>)
auto ensemble(C combiner, std::initializer_list<M> members, EnsembleOptions options = {}) {
  return detail::make_ensemble<M, C, Mode>(std::nullopt, std::move(combiner),
                                           std::span<const M>(members.begin(), members.size()),
                                           options);
}
template <class C, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(CombinerOf<C, M> && std::copy_constructible<typename detail::MemberTypes<M>::In>)
auto ensemble(C combiner, const std::vector<M>& members, EnsembleOptions options = {}) {
  return detail::make_ensemble<M, C, Mode>(std::nullopt, std::move(combiner),
                                           std::span<const M>(members), options);
}

/// The same, with members handed to `executor` where that is predicted to pay, from what each was
/// seen to cost and what waking a worker does.
///
/// `submit` never computes; `serve` runs its share, and what no worker has begun when it is done
/// with that, and then waits for the rest. Members that have not answered when the vote is over, or
/// at the latest deadline of the batch's rows, or after `cut_off`, are left out: those not begun
/// are not started, and what others answer late is discarded; they own what they touch. Rows are
/// owned where they are handed on: `serve` copies them unless it was given them.
///
/// Errors   besides: deadline_exceeded: too few answered in time; unavailable: the executor was
///          shut down; failed_precondition: waiting could never end because every runner waits
///          beneath this call
/// Cost     besides: a member in sixteen batches is timed, all are where they are handed on. No
///          allocation for up to 8 members
template <class C, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(CombinerOf<C, M> && std::copy_constructible<typename detail::MemberTypes<M>::In>)
auto ensemble(Executor executor, C combiner, std::initializer_list<M> members,
              EnsembleOptions options = {}) {
  return detail::make_ensemble<M, C, Mode>(std::move(executor), std::move(combiner),
                                           std::span<const M>(members.begin(), members.size()),
                                           options);
}
template <class C, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(CombinerOf<C, M> && std::copy_constructible<typename detail::MemberTypes<M>::In>)
auto ensemble(Executor executor, C combiner, const std::vector<M>& members,
              EnsembleOptions options = {}) {
  return detail::make_ensemble<M, C, Mode>(std::move(executor), std::move(combiner),
                                           std::span<const M>(members), options);
}

/// A model over the members' answers: `meta` takes a `std::vector` of them, or, where they are
/// tensors [*F], one tensor [members, *F].
///
/// All members must have answered a row, or have a default: their places are what `meta` knows them
/// by. The same as `ensemble(Stack{}, members, options) | meta`.
template <AnyServable Meta, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(std::same_as<typename Meta::input_type,
                        CombinedOf<Stack, typename detail::MemberTypes<M>::Mid>>)
auto stacked(Meta meta, std::initializer_list<M> members, EnsembleOptions options = {}) {
  return ensemble<Stack, M, Mode>(Stack{}, members, options) | std::move(meta);
}
template <AnyServable Meta, EnsembleMember M, class Mode = detail::ExceptionMode>
  requires(std::same_as<typename Meta::input_type,
                        CombinedOf<Stack, typename detail::MemberTypes<M>::Mid>>)
auto stacked(Executor executor, Meta meta, std::initializer_list<M> members,
             EnsembleOptions options = {}) {
  return ensemble<Stack, M, Mode>(std::move(executor), Stack{}, members, options) | std::move(meta);
}

}  // namespace galley::inline v1
