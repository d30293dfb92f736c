// AnyRoute: a route policy that is chosen while the program runs.
#pragma once

#include <galley/policy/route.hpp>
#include <galley/policy/route/always.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// One of several route policies, as read from a configuration; by default `always(0)`.
///
/// Copies share the policy, which is never changed.
///
/// Cost    a call through a pointer more than the policy itself
/// Example tests/policy/route/any_test.cpp
class AnyRoute {
 public:
  AnyRoute() : AnyRoute(always(0)) {}
  template <class P>
    requires(!std::same_as<P, AnyRoute> && RoutePolicy<P>)
  AnyRoute(P policy)  // NOLINT: stands for the policy
      : policy_(std::make_shared<const P>(std::move(policy))), table_(&table_of<P>) {}

  Result<std::size_t> route(const RouteView& view) const {
    return table_->route(policy_.get(), view);
  }
  RouteInput input() const { return table_->input(policy_.get()); }
  RouteWeights weights() const { return table_->weights(policy_.get()); }
  /// Of the policy within; empty where it has none.
  std::string_view name() const { return table_->name(policy_.get()); }
  RouteTexts about() const { return table_->about(policy_.get()); }

 private:
  struct Table {
    std::string_view (*name)(const void*);
    Result<std::size_t> (*route)(const void*, const RouteView&);
    RouteInput (*input)(const void*);
    RouteWeights (*weights)(const void*);
    RouteTexts (*about)(const void*);
  };
  template <class P>
  static const P& of(const void* policy) {
    return *static_cast<const P*>(policy);
  }
  template <class P>
  static RouteTexts about_of(const P& policy) {
    if constexpr (requires { policy.about(); }) {
      return policy.about();
    } else {
      return {};
    }
  }
  template <class P>
  static constexpr Table table_of{
      .name = [](const void* p) { return route_name(of<P>(p)); },
      .route = [](const void* p, const RouteView& view) -> Result<std::size_t> {
        return of<P>(p).route(view);
      },
      .input = [](const void* p) { return of<P>(p).input(); },
      .weights = [](const void* p) { return weights_of(of<P>(p)); },
      .about = [](const void* p) { return about_of(of<P>(p)); }};

  std::shared_ptr<const void> policy_;
  const Table* table_;
};

}  // namespace galley::inline v1
