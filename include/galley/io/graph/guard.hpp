// "guard"; and its checks.
#pragma once

#include <galley/compose/guard.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/tensor.hpp>
#include <galley/io/fields.hpp>
#include <galley/policy/check/any.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/in_range.hpp>
#include <galley/policy/check/shape_is.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Finite> {
  static Fields<Finite> fields() { return Fields<Finite>("No number is NaN or infinite."); }
};
template <>
struct Described<InRange> {
  static Fields<InRange> fields() {
    return Fields<InRange>("Every number lies between two bounds.")
        .add("least", &InRange::least, "The lower bound.")
        .add("most", &InRange::most, "The upper bound.");
  }
};

struct ShapeIsPolicy {
  Required<std::vector<std::int64_t>> shape;

  static Fields<ShapeIsPolicy> fields() {
    return Fields<ShapeIsPolicy>("The row has this shape.")
        .add("shape", &ShapeIsPolicy::shape, "Its extents; -1 is any.",
             {.min = -1, .max_items = Shape::max_rank});
  }
  Result<AnyCheck<Tensor>> make() const {
    GALLEY_TRY(const Shape wanted, Shape::of(std::span<const std::int64_t>(*shape)));
    return AnyCheck<Tensor>(shape_is(wanted));
  }
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

template <class In, class Out>
struct GuardKind {
  Required<AnyCheck<In>> check;
  Required<Servable<In, Out>> of;

  static Fields<GuardKind> fields() {
    using K = GuardKind;
    return Fields<K>("Rows are checked first; those that are not fit answer an error at once.")
        .add("check", &K::check, "What is checked.")
        .add("of", &K::of, "Who gets the rows that are fit.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && { return guard(*std::move(check), *std::move(of)); }
};

}  // namespace galley::inline v1::io
