// route: rows go to one of several servables each, by a rule, by chance, by key or by a classifier.
#pragma once

#include <galley/compose/routing/node.hpp>
#include <galley/compose/routing/options.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/route.hpp>
#include <galley/policy/route/always.hpp>
#include <galley/policy/route/by_context.hpp>
#include <galley/policy/route/by_key.hpp>
#include <galley/policy/route/by_rule.hpp>
#include <galley/policy/route/by_weight.hpp>
#include <galley/policy/route/sticky.hpp>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// Fills in the names that were not given, and checks what was.
template <class In, class Out>
Result<void> complete_route(const std::vector<Servable<In, Out>>& arms, RouteOptions& options) {
  if (options.name.empty()) {
    options.name = "route(";
    for (const Servable<In, Out>& arm : arms) {
      options.name.append(&arm == arms.data() ? "" : ", ").append(arm.name());
    }
    options.name.append(")");
  }
  if (arms.empty()) return Error(Status::invalid_argument, "expected at least one arm, got none");
  if (options.labels.empty()) {
    for (const Servable<In, Out>& arm : arms) options.labels.push_back(arm.name());
  }
  if (options.labels.size() != arms.size()) {
    return Error(Status::invalid_argument, "options.labels: expected one for each of " +
                                               std::to_string(arms.size()) + " arms, got " +
                                               std::to_string(options.labels.size()));
  }
  return {};
}

template <class Mode, class In, class Out, class Choose>
Servable<In, Out> make_route(Choose choose, std::vector<Servable<In, Out>> arms,
                             RouteOptions options) {
  const RouteWeights weights = choose.weights();
  Result<void> good = complete_route(arms, options);
  if (good.has_value() && !weights.empty()) good = weights.check(arms.size());
  if (!good.has_value()) {
    return Servable<In, Out>::broken(std::move(options.name), std::move(good).error());
  }
  using Node = RouteNode<In, Out, Choose, Mode>;
  return Servable<In, Out>::of_node(
      options.name, Node(RouteArms<In, Out, Mode>(options.name, std::move(arms)), std::move(choose),
                         RouteShell(std::move(options.labels), options.seed, weights)));
}

}  // namespace detail

/// Each row goes to one of `arms`, the one that `policy` answers for it, and the outcomes come back
/// in order: business logic, an A/B test, a canary.
///
/// Where all rows of a batch go one way, that arm is called with the batch as it is. Else each arm
/// gets its rows as one batch, with their contexts and keys, and the rows of one request see one
/// version of each slot. Arms that must wait are asked at once: by `submit` always, by `serve`
/// where one executor, or none, lies beneath them and the caller is no executor's worker.
///
/// `control` takes `SetWeights`, where the policy has weights, and answers `RouteStatistics`.
///
/// Errors   internal: the policy threw, or answered an arm that is not there; the policy's own; the
///          arms' own. `check`: no arms, or weights or labels that are not one for each
/// Threads  thread-safe
/// Cost     all rows one way: some nanoseconds a row, no allocation, no copy. Split: lists of row
///          numbers; rows are copied only for an arm that is submitted to from `serve`
/// Example  examples/route_and_guard.cpp
template <RoutePolicy P, class In, class Out, class Mode = detail::ExceptionMode>
Servable<In, Out> route(P policy, std::vector<Servable<In, Out>> arms, RouteOptions options = {},
                        Mode = {}) {
  return detail::make_route<Mode>(detail::RouteByPolicy<P, Mode>{std::move(policy)},
                                  std::move(arms), std::move(options));
}
template <RoutePolicy P, class In, class Out, class Mode = detail::ExceptionMode>
Servable<In, Out> route(P policy, std::initializer_list<Servable<In, Out>> arms,
                        RouteOptions options = {}, Mode mode = {}) {
  return route(std::move(policy), std::vector<Servable<In, Out>>(arms), std::move(options), mode);
}

/// The same by a rule: a function of the row that answers the number of an arm, or its label.
///
/// It is called once for each row. Errors  `internal` where it throws, else what it answers
///
/// Example  route([](const Order& order) { return order.total > 100; }, {small, large})
template <class F, class In, class Out, class Mode = detail::ExceptionMode>
  requires(RouteRule<F, In> && !RoutePolicy<F>)
Servable<In, Out> route(F rule, std::vector<Servable<In, Out>> arms, RouteOptions options = {},
                        Mode = {}) {
  return detail::make_route<Mode>(detail::RouteByRule<F, In, Mode>{std::move(rule)},
                                  std::move(arms), std::move(options));
}
template <class F, class In, class Out, class Mode = detail::ExceptionMode>
  requires(RouteRule<F, In> && !RoutePolicy<F>)
Servable<In, Out> route(F rule, std::initializer_list<Servable<In, Out>> arms,
                        RouteOptions options = {}, Mode mode = {}) {
  return route(std::move(rule), std::vector<Servable<In, Out>>(arms), std::move(options), mode);
}

/// The same by a servable that answers the number of each row's arm. It is asked first, for all
/// rows in one batch, and may answer later; rows that fail there have its error.
///
/// Cost     beside a rule's: where the classifier answers later, a copy of the rows, which it and
///          the arms both need
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> route(Servable<In, std::size_t> classifier, std::vector<Servable<In, Out>> arms,
                        RouteOptions options = {}, Mode = {}) {
  if (Result<void> good = detail::complete_route(arms, options); !good.has_value()) {
    return Servable<In, Out>::broken(std::move(options.name), std::move(good).error());
  }
  using Node = detail::ClassifiedRouteNode<In, Out, Mode>;
  return Servable<In, Out>::of_node(
      options.name,
      Node(detail::RouteArms<In, Out, Mode>(options.name, std::move(arms)), std::move(classifier),
           detail::RouteShell(std::move(options.labels), options.seed, {})));
}
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> route(Servable<In, std::size_t> classifier,
                        std::initializer_list<Servable<In, Out>> arms, RouteOptions options = {},
                        Mode mode = {}) {
  return route(std::move(classifier), std::vector<Servable<In, Out>>(arms), std::move(options),
               mode);
}

}  // namespace galley::inline v1
