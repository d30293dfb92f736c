#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/constant.hpp>
#include <galley/io/graph/in_order.hpp>
#include <galley/io/graph/on.hpp>
#include <galley/io/graph/slot.hpp>
#include <src/io/graph/builtin.hpp>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

Fields<TensorLiteral> TensorLiteral::fields() {
  using P = TensorLiteral;
  return Fields<P>("A tensor of float32.")
      .add("values", &P::values, "Its numbers, in row-major order.", {.max_items = 65536})
      .add("shape", &P::shape, "Its extents; by default one, the number of values.",
           {.min = 0, .max_items = Shape::max_rank});
}

Result<Tensor> TensorLiteral::make() && {
  std::vector<float> numbers = *std::move(values);
  std::vector<std::int64_t> extents = {static_cast<std::int64_t>(numbers.size())};
  if (shape.has_value()) extents = *std::move(shape);
  GALLEY_TRY(const Shape all, Shape::of(std::span<const std::int64_t>(extents)));
  return Tensor::from(std::move(numbers), all);
}

namespace detail {

void add_tensor_basics(Registry& registry) {
  registry.add_policy<Tensor, TensorLiteral>("literal");
  add_constants<Tensor, Tensor>(registry);
  add_in_order<Tensor, Tensor>(registry);
  add_on<Tensor, Tensor>(registry);
  add_slots<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
