// ShapeIs and DTypeIs: the checks of what a tensor is, without looking at its elements.
#pragma once

#include <galley/core/dtype.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/policy/check.hpp>

#include <string>
#include <utility>

namespace galley::inline v1 {

/// The row has this shape, without the batch; a free dimension fits any extent.
///
/// Errors  invalid_argument: what it has instead
struct ShapeIs {
  Shape shape;

  Result<void> check(const Tensor& row) const {
    if (row.is_defined() && row.shape().matches(shape)) return {};
    return Error(Status::invalid_argument,
                 "expected shape " + to_string(shape) + ", got " + to_string(row));
  }
  bool passes(const Rows<Tensor>& rows) const {
    return rows.block() != nullptr && rows.block()->shape().rows_match(shape);
  }
  std::string text() const { return "shape " + to_string(shape); }
};

/// The row's elements are of this type.
///
/// Errors  invalid_argument: what it has instead
struct DTypeIs {
  DType dtype = f32;

  Result<void> check(const Tensor& row) const {
    if (row.is_defined() && row.dtype() == dtype) return {};
    return Error(Status::invalid_argument,
                 "expected " + std::string(to_string(dtype)) + ", got " + to_string(row));
  }
  bool passes(const Rows<Tensor>& rows) const {
    return rows.block() != nullptr && rows.block()->dtype() == dtype;
  }
  std::string text() const { return std::string(to_string(dtype)); }
};

/// The row has this shape; `any` stands for any extent.
inline ShapeIs shape_is(Shape shape) {
  return {shape};
}

/// The row's elements are of this type.
constexpr DTypeIs dtype_is(DType dtype) {
  return {dtype};
}

}  // namespace galley::inline v1
