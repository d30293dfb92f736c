#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/filter.hpp>
#include <galley/io/graph/guard.hpp>
#include <src/io/graph/builtin.hpp>

#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

Fields<Finite> Described<Finite>::fields() {
  return Fields<Finite>("No number is NaN or infinite.");
}

Fields<InRange> Described<InRange>::fields() {
  return Fields<InRange>("Every number lies between two bounds.")
      .add("least", &InRange::least, "The lower bound.")
      .add("most", &InRange::most, "The upper bound.");
}

Fields<ShapeIsPolicy> ShapeIsPolicy::fields() {
  return Fields<ShapeIsPolicy>("The row has this shape.")
      .add("shape", &ShapeIsPolicy::shape, "Its extents; -1 is any.",
           {.min = -1, .max_items = Shape::max_rank});
}

std::vector<std::pair<std::string, DType>> Described<DType>::choices() {
  std::vector<std::pair<std::string, DType>> all;
  for (unsigned i = 0; i <= static_cast<unsigned>(DType::boolean); ++i) {
    const auto dtype = static_cast<DType>(i);
    all.emplace_back(to_string(dtype), dtype);
  }
  return all;
}

Fields<DTypeIs> Described<DTypeIs>::fields() {
  return Fields<DTypeIs>("The row's elements are of this type.")
      .add("dtype", &DTypeIs::dtype, "Which.");
}

Fields<FieldPolicy> FieldPolicy::fields() {
  return Fields<FieldPolicy>("One of the named tensors of a row is fit.")
      .add("name", &FieldPolicy::name, "What it is called.", {.min_items = 1, .max_items = 128})
      .add("check", &FieldPolicy::check, "What is checked.");
}

namespace detail {

void add_tensor_checks(Registry& registry) {
  add_guards<Tensor, Tensor>(registry);
  add_filters<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
