// Which arm each row of a batch goes to, as a policy or a rule says.
#pragma once

#include <galley/compose/routing/state.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/context.hpp>
#include <galley/core/exceptions.hpp>
#include <galley/core/result.hpp>
#include <galley/policy/hash.hpp>
#include <galley/policy/route.hpp>
#include <galley/policy/route/by_rule.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Which arm each row of a batch goes to.
struct RouteChoice {
  /// All rows', where `of_row` is empty.
  std::size_t arm = 0;
  /// Each row's; the number of arms for those that have none.
  std::vector<RowIndex> of_row = {};
  /// Why, of the rows that have none, in order.
  std::vector<Error> refused = {};

  bool is_one() const noexcept { return of_row.empty(); }
};

/// A route as those see it who decide for it: what it and its arms are called.
struct RouteNames {
  std::string_view route;
  std::span<const std::string> labels;
};

/// Collects what is decided for rows one after the other: while all go one way, a number.
class RouteChoiceMaker {
 public:
  RouteChoiceMaker(std::size_t rows, const RouteNames& names, RouteChoice& choice) noexcept
      : rows_(rows), arms_(names.labels.size()), name_(names.route), choice_(choice) {}

  /// The next row's arm, or why the route has none for it.
  void add(Result<std::size_t> arm) {
    if (choice_.is_one() && arm.has_value() && *arm < arms_) [[likely]] {
      if (next_ == 0) choice_.arm = *arm;
      if (choice_.arm == *arm) {
        ++next_;
        return;
      }
    }
    add_apart(std::move(arm));
  }

  /// The next row failed before, and is named there.
  void fail(Error why) {
    set_apart(arms_);
    choice_.refused.push_back(std::move(why));
  }

 private:
  [[gnu::noinline]] void add_apart(Result<std::size_t> arm) {
    if (arm.has_value() && *arm >= arms_) {
      arm = Error(Status::internal, "a row was sent to arm " + std::to_string(*arm) +
                                        ", expected one below " + std::to_string(arms_));
    }
    if (arm.has_value()) return set_apart(*arm);
    fail(within(name_, std::move(arm).error()));
  }

  void set_apart(std::size_t arm) {
    if (choice_.is_one()) {
      choice_.of_row.reserve(rows_);
      choice_.of_row.assign(next_, static_cast<RowIndex>(choice_.arm));
    }
    choice_.of_row.push_back(static_cast<RowIndex>(arm));
    ++next_;
  }

  std::size_t rows_;
  std::size_t arms_;
  std::string_view name_;
  RouteChoice& choice_;
  std::size_t next_ = 0;
};

/// Fills in what a policy sees, one row after the other.
class RouteViews {
 public:
  RouteViews(RouteState& state, std::size_t arms, std::uint64_t seed, RouteInput input,
             const BatchContext& context, std::size_t rows) noexcept
      : contexts_(context),
        keys_(context.keys()),
        seed_(seed),
        chance_(input == RouteInput::chance) {
    view_.arms = arms;
    if (state.weights.size() != 0) view_.weights = state.weights.read(weights_);
    if (chance_) view_.number = state.drawn.fetch_add(rows, std::memory_order_relaxed);
  }
  RouteViews(const RouteViews&) = delete;
  RouteViews& operator=(const RouteViews&) = delete;

  /// The next row's.
  const RouteView& next() noexcept {
    const Context& context = contexts_.next();
    view_.priority = context.priority;
    view_.request_id = context.request_id;
    if (!keys_.empty()) view_.key = keys_[row_];
    if (chance_) {
      if (row_ != 0) ++view_.number;
      view_.random = mix64(seed_ ^ mix64(view_.number));
    }
    ++row_;
    return view_;
  }

 private:
  RouteView view_;
  std::array<double, RouteWeights::max_arms> weights_;
  RowContexts contexts_;
  std::span<const Key> keys_;
  std::uint64_t seed_;
  std::size_t row_ = 0;
  bool chance_;
};

/// What a policy or a rule says of itself.
template <class P>
RouteTexts about_chooser(const P& chooser, std::string_view otherwise) {
  RouteTexts texts;
  const std::string_view name = route_name(chooser);
  texts.emplace_back("by", name.empty() ? otherwise : name);
  if constexpr (requires {
                  { chooser.about() } -> std::same_as<RouteTexts>;
                }) {
    for (auto& text : chooser.about()) texts.push_back(std::move(text));
  }
  return texts;
}

/// What a route asks: a policy.
template <class P, class Mode>
struct RouteByPolicy {
  P policy;

  RouteTexts about() const { return about_chooser(policy, "policy"); }
  RouteWeights weights() const { return weights_of(policy); }
  /// Equal rows go one way.
  bool is_deterministic() const { return policy.input() == RouteInput::weights; }

  template <class In>
  RouteChoice choose(const Batch<In>& batch, const BatchContext& context, RouteState& state,
                     const RouteNames& names, std::uint64_t seed) const {
    const std::size_t n = batch.size();
    const RouteInput input = policy.input();
    RouteViews views(state, names.labels.size(), seed, input, context, n);
    const bool alike =
        input == RouteInput::weights || (input == RouteInput::request && context.is_uniform());
    RouteChoice choice;
    RouteChoiceMaker made(n, names, choice);
    const auto decide = [&]() -> Result<std::size_t> {
      const RouteView& view = views.next();
      return Mode::template call<std::size_t>(
          [&]() -> Result<std::size_t> { return policy.route(view); });
    };
    if (!alike) {
      for (std::size_t i = 0; i < n; ++i) made.add(decide());
      return choice;
    }
    Result<std::size_t> all = decide();
    made.add(all);
    for (std::size_t i = 1; i < n && !choice.is_one(); ++i) made.add(all);
    return choice;
  }
};

/// What a route asks: a rule.
template <class F, class In, class Mode>
struct RouteByRule {
  F rule;

  static constexpr bool sees_view = !RuleOfRow<F, In>;
  RouteTexts about() const { return about_chooser(rule, "rule"); }
  RouteWeights weights() const {
    if constexpr (requires {
                    { rule.weights() } -> std::same_as<RouteWeights>;
                  }) {
      return rule.weights();
    } else {
      return {};
    }
  }
  bool is_deterministic() const { return !sees_view; }

  RouteChoice choose(const Batch<In>& batch, const BatchContext& context, RouteState& state,
                     const RouteNames& names, std::uint64_t seed) const {
    const std::size_t n = batch.size();
    RouteChoice choice;
    RouteChoiceMaker made(n, names, choice);
    if constexpr (sees_view) {
      RouteViews views(state, names.labels.size(), seed, input(), context, n);
      for (std::size_t i = 0; i < n; ++i) {
        const RouteView& view = views.next();
        made.add(Mode::template call<std::size_t>(
            [&]() -> Result<std::size_t> { return arm_of(rule(batch[i], view), names.labels); }));
      }
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        made.add(Mode::template call<std::size_t>(
            [&]() -> Result<std::size_t> { return arm_of(rule(batch[i]), names.labels); }));
      }
    }
    return choice;
  }

 private:
  RouteInput input() const {
    if constexpr (requires {
                    { rule.input() } -> std::same_as<RouteInput>;
                  }) {
      return rule.input();
    } else {
      return RouteInput::chance;
    }
  }
};

}  // namespace galley::inline v1::detail
