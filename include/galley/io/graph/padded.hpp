// "padded": rows of unequal length, filled up to blocks.
#pragma once

#include <galley/compose/padded.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/tolerance.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Padding::Check> {
  static std::vector<std::pair<std::string, Padding::Check>> choices() {
    return {{"samples", Padding::Check::samples}, {"trust", Padding::Check::trust}};
  }
};
template <>
struct Described<Padding::Merge> {
  static std::vector<std::pair<std::string, Padding::Merge>> choices() {
    return {{"when_cheaper", Padding::Merge::when_cheaper}, {"never", Padding::Merge::never}};
  }
};
template <>
struct Described<Padding> {
  static Fields<Padding> fields();
};

/// From tensors to Out; the child takes In, tensors or named tensors.
template <PaddedInput In, class Out>
struct PaddedKind {
  Required<Servable<In, Out>> of;
  Required<Padding> options;

  static Fields<PaddedKind> fields() {
    return Fields<PaddedKind>("The same servable, for rows of unequal length.")
        .add("of", &PaddedKind::of, "What takes rows of one length, or rows and masks.")
        .add("options", &PaddedKind::options, "How they are padded.");
  }
  Servable<Tensor, Out> make() && { return padded(*std::move(of), *std::move(options)); }
};

namespace detail {

template <class In, class Out>
void add_padded(Registry& registry) {
  if constexpr (std::same_as<In, Tensor> &&
                std::predicate<const EqualAnswers&, const Out&, const Out&>) {
    registry.add_kind<PaddedKind<Tensor, Out>>("padded");
    registry.add_kind<PaddedKind<NamedTensors, Out>>("padded");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
