#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/padded.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<Tolerance> Described<Tolerance>::fields() {
  return Fields<Tolerance>("How far two answers to one row may lie apart.")
      .add("absolute", &Tolerance::absolute, "By this much in any case.", {.min = 0})
      .add("relative", &Tolerance::relative, "And by this part of the answer.", {.min = 0});
}

Fields<Padding> Described<Padding>::fields() {
  using P = Padding;
  return Fields<P>("How rows are padded.")
      .add("lengths", &P::lengths, "The lengths that rows are filled up to, ascending.",
           {.min = 1, .min_items = 1, .max_items = max_padded_lengths})
      .add("axis", &P::axis, "The axis of a row whose length varies.", {.max = Shape::max_rank - 2})
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

namespace detail {

void add_tensor_padded(Registry& registry) {
  add_padded<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
