// "constant": one answer to all rows; and values that documents say.
#pragma once

#include <galley/compose/fallback.hpp>
#include <galley/core/tensor.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/alternatives.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

/// A number, a text or a truth value as it stands in the document.
template <class T>
struct Literal {
  Required<T> value;

  static Fields<Literal> fields() {
    return Fields<Literal>("The value itself.").add("value", &Literal::value, "The value.");
  }
  T make() && { return *std::move(value); }
};

/// Shapes  [n] of n values where no shape is said
struct TensorLiteral {
  Required<std::vector<float>> values;
  std::optional<std::vector<std::int64_t>> shape = {};

  static Fields<TensorLiteral> fields();
  Result<Tensor> make() &&;
};

template <class In, class Out>
struct ConstantKind {
  Required<std::string> name;
  Required<Named<Out>> value;

  static Fields<ConstantKind> fields() {
    using K = ConstantKind;
    return Fields<K>("The same answer to every row.")
        .add("name", &K::name, "What it is called.", {.min_items = 1, .max_items = 128})
        .add("value", &K::value, "The answer.");
  }
  Servable<In, Out> make() && { return constant<In>(*std::move(name), (*std::move(value)).value); }
};

namespace detail {

template <class In, class Out>
void add_constants(Registry& registry) {
  if constexpr (std::copy_constructible<Out>) {
    if constexpr (std::is_arithmetic_v<Out> || std::same_as<Out, std::string>) {
      add_policy_once<Out, Literal<Out>>(registry, "literal");
    }
    registry.add_kind<ConstantKind<In, Out>>("constant");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
