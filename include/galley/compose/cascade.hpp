// cascade: cheap models answer what they are sure of, the next answer the rest.
#pragma once

#include <galley/compose/chain.hpp>
#include <galley/policy/accept.hpp>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

template <class Out, class Accept, class Mode>
struct CascadeRule {
  static constexpr const char* kind = "cascade";
  Accept accept;

  static bool settles_all(const Outcomes<Out>&) noexcept { return false; }

  Result<bool> settles(std::size_t level, const typename Outcomes<Out>::Reference& outcome) const {
    if (!outcome.has_value()) return true;
    return Mode::template call<bool>([&]() -> Result<bool> {
      if constexpr (std::invocable<const Accept&, std::size_t, const Out&>) {
        return accept(level, *outcome);
      } else {
        return accept(*outcome);
      }
    });
  }
  void describe(Description& d) const {
    if constexpr (requires { std::to_string(accept.threshold); }) {
      d.options.emplace_back("threshold", std::to_string(accept.threshold));
    }
  }
};

/// One name made of the names of several: `cascade(a, b)`.
template <class In, class Out>
std::string name_of(const char* kind, const std::vector<Servable<In, Out>>& children) {
  std::string name = std::string(kind) + "(";
  for (std::size_t i = 0; i < children.size(); ++i) {
    name.append(i == 0 ? "" : ", ").append(children[i].name());
  }
  return name + ")";
}

/// A chain by this rule; broken without levels.
template <class Mode, class In, class Out, class Rule>
Servable<In, Out> chain(std::vector<Servable<In, Out>> levels, Rule rule) {
  std::string name = name_of(Rule::kind, levels);
  if (levels.empty()) {
    return Servable<In, Out>::broken(
        std::move(name), Error(Status::invalid_argument,
                               std::string(Rule::kind) + ": expected at least one servable"));
  }
  return Servable<In, Out>::of_node(
      std::move(name), ChainNode<In, Out, Rule, Mode>(std::move(levels), std::move(rule)));
}

}  // namespace detail

/// Each row is answered by the first of `levels` whose answer `accept` accepts, and by the last
/// whatever it is: cheap models first. Rows that a level is sure of take no part in the next; those
/// left go there together. A row that fails in a level has failed: where another should answer, put
/// a `fallback` around the level.
///
/// A level costs what it costs for the rows that came to it; `control(ChainStatistics)` says what
/// each took.
///
/// Errors   `accept`'s, as the row's; what it throws is `internal`
/// Threads  thread-safe
/// Cost     rows that a level settles alone: the call of `accept` for each
/// Example  cascade({small, large}, confident(0.9))
template <class In, class Out, class Accept, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In> && AcceptPolicy<Accept, Out>)
Servable<In, Out> cascade(std::vector<Servable<In, Out>> levels, Accept accept) {
  return detail::chain<Mode>(std::move(levels),
                             detail::CascadeRule<Out, Accept, Mode>{std::move(accept)});
}
template <class In, class Out, class Accept, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In> && AcceptPolicy<Accept, Out>)
Servable<In, Out> cascade(std::initializer_list<Servable<In, Out>> levels, Accept accept) {
  return cascade<In, Out, Accept, Mode>(std::vector(levels), std::move(accept));
}

}  // namespace galley::inline v1
