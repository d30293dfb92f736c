// "padded": rows of unequal length, filled up to blocks.
#pragma once

#include <galley/compose/padded.hpp>
#include <galley/io/fields.hpp>

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
struct Described<Tolerance> {
  static Fields<Tolerance> fields() {
    return Fields<Tolerance>("How far two answers to one row may lie apart.")
        .add("absolute", &Tolerance::absolute, "By this much in any case.", {.min = 0})
        .add("relative", &Tolerance::relative, "And by this part of the answer.", {.min = 0});
  }
};

template <>
struct Described<Padding> {
  static Fields<Padding> fields() {
    using P = Padding;
    return Fields<P>("How rows are padded.")
        .add("lengths", &P::lengths, "The lengths that rows are filled up to, ascending.",
             {.min = 1, .min_items = 1, .max_items = max_padded_lengths})
        .add("axis", &P::axis, "The axis of a row whose length varies.",
             {.max = Shape::max_rank - 2})
        .add("value", &P::value, "What rows are filled up with.")
        .add("output_axis", &P::output_axis, "The axis of an answer to be cut back.",
             {.max = Shape::max_rank - 1})
        .add("input", &P::input, "What the padded row is called, among named tensors.")
        .add("mask", &P::mask, "What its mask is called.")
        .add("check", &P::check, "How it is known that padding changes no answer.")
        .add("samples", &P::samples, "Rows to check it on.")
        .add("tolerance", &P::tolerance, "How far their answers may lie apart.")
        .add("merge", &P::merge, "Whether rows may be filled up to more than they need.")
        .add("clock", &P::clock, "Where the time is read that merging is decided by.");
  }
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

}  // namespace galley::inline v1::io
