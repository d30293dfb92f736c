// "guard"; and its checks.
#pragma once

#include <galley/compose/guard.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/alternatives.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/check/any.hpp>
#include <galley/policy/check/field.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/in_range.hpp>
#include <galley/policy/check/repairing.hpp>
#include <galley/policy/check/shape_is.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace galley::inline v1::io {

template <class In>
inline constexpr std::string_view family_name<AnyCheck<In>> = "check";

template <>
struct Described<Finite> {
  static Fields<Finite> fields();
};
template <>
struct Described<InRange> {
  static Fields<InRange> fields();
};

struct ShapeIsPolicy {
  Required<std::vector<std::int64_t>> shape;

  static Fields<ShapeIsPolicy> fields();
  Result<AnyCheck<Tensor>> make() const {
    GALLEY_TRY(const Shape wanted, Shape::of(std::span<const std::int64_t>(*shape)));
    return AnyCheck<Tensor>(shape_is(wanted));
  }
};

template <>
struct Described<DType> {
  static std::vector<std::pair<std::string, DType>> choices();
};
template <>
struct Described<DTypeIs> {
  static Fields<DTypeIs> fields();
};

/// Of named tensors.
struct FieldPolicy {
  Required<std::string> name;
  Required<AnyCheck<Tensor>> check;

  static Fields<FieldPolicy> fields();
  AnyCheck<NamedTensors> make() && { return field(*std::move(name), *std::move(check)); }
};

template <class In>
struct AllOfPolicy {
  Required<std::vector<AnyCheck<In>>> checks;

  static Fields<AllOfPolicy> fields() {
    return Fields<AllOfPolicy>("Every one of several checks.")
        .add("checks", &AllOfPolicy::checks, "In this order.", {.min_items = 1, .max_items = 64});
  }
  AnyCheck<In> make() && { return AllOfAny<In>{*std::move(checks)}; }
};

/// A guard that mends rows: what a row becomes, none where it is fit as it is, or why it cannot be.
/// The host registers it.
template <class In>
using RowMending = Repairing<std::function<Result<std::optional<In>>(const In&)>>;
template <class In>
inline constexpr std::string_view family_name<RowMending<In>> = "repair of rows";

/// A guard that answers: a row's answer, none where the servable is to be asked. The host registers
/// it.
template <class In, class Out>
using EarlyAnswer = Answering<std::function<Result<std::optional<Out>>(const In&)>>;
template <class In, class Out>
inline constexpr std::string_view family_name<EarlyAnswer<In, Out>> = "early answer";

template <class In, class Out>
struct GuardKind {
  Required<std::variant<AnyCheck<In>, RowMending<In>, EarlyAnswer<In, Out>>> check;
  Required<Servable<In, Out>> of;

  static Fields<GuardKind> fields() {
    using K = GuardKind;
    return Fields<K>("Rows are checked first; those that are not fit answer an error at once.")
        .add("check", &K::check, "What is checked, mended or answered at once.")
        .add("of", &K::of, "Who gets the rows that are fit.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    return std::visit(
        [&](auto&& chosen) {
          return guard(std::forward<decltype(chosen)>(chosen), *std::move(of));
        },
        *std::move(check));
  }
};

namespace detail {

/// The checks of rows of a type.
template <class T>
void add_checks(Registry& registry) {
  add_policy_once<AnyCheck<T>, AllOfPolicy<T>>(registry, "all_of");
  if constexpr (std::constructible_from<AnyCheck<T>, Finite>) {
    add_policy_once<AnyCheck<T>, Finite>(registry, "finite");
    add_policy_once<AnyCheck<T>, InRange>(registry, "in_range");
  }
  if constexpr (std::same_as<T, Tensor>) {
    add_policy_once<AnyCheck<T>, ShapeIsPolicy>(registry, "shape_is");
    add_policy_once<AnyCheck<T>, DTypeIs>(registry, "dtype_is");
  }
  if constexpr (std::same_as<T, NamedTensors>) {
    add_checks<Tensor>(registry);
    add_policy_once<AnyCheck<T>, FieldPolicy>(registry, "field");
  }
}

template <class In, class Out>
void add_guards(Registry& registry) {
  add_checks<In>(registry);
  registry.add_kind<GuardKind<In, Out>>("guard");
}

}  // namespace detail

}  // namespace galley::inline v1::io
