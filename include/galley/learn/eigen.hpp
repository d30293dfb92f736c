// Eigen: tensors as Eigen matrices and vectors, and Eigen matrices as tensors.
#pragma once

#include <galley/core/device.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/owner.hpp>
#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/text.hpp>

#include <Eigen/Core>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {
template <Element T>
using RowMajorMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
}  // namespace detail

/// A matrix over a tensor's memory, whatever its strides; T is const for reading.
template <class T>
using MatrixMap = Eigen::Map<
    std::conditional_t<std::is_const_v<T>, const detail::RowMajorMatrix<std::remove_const_t<T>>,
                       detail::RowMajorMatrix<std::remove_const_t<T>>>,
    Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

/// A column vector over a tensor's memory, whatever its stride; T is const for reading.
template <class T>
using VectorMap =
    Eigen::Map<std::conditional_t<std::is_const_v<T>,
                                  const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>,
                                  Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>>,
               Eigen::Unaligned, Eigen::InnerStride<Eigen::Dynamic>>;

/// A tensor `[rows, columns]` as a matrix, without copying: row- and column-major memory give the
/// same matrix.
///
/// Ownership  borrows: a tensor that shares the memory must outlive the map
/// Errors     invalid_argument: undefined, another dtype or rank, or not host memory
template <Element T>
Result<MatrixMap<const T>> as_matrix(const Tensor& tensor);

/// As `as_matrix`, for writing; every tensor that shares the memory sees it.
///
/// Errors  as `as_matrix`; failed_precondition: read-only
template <Element T>
Result<MatrixMap<T>> as_mutable_matrix(Tensor& tensor);

/// A tensor `[size]` as a column vector, without copying.
///
/// Ownership  borrows: a tensor that shares the memory must outlive the map
/// Errors     invalid_argument: undefined, another dtype or rank, or not host memory
template <Element T>
Result<VectorMap<const T>> as_vector(const Tensor& tensor);

/// As `as_vector`, for writing; every tensor that shares the memory sees it.
///
/// Errors  as `as_vector`; failed_precondition: read-only
template <Element T>
Result<VectorMap<T>> as_mutable_vector(Tensor& tensor);

/// Anything in Eigen that lies in memory: a matrix, a vector, a block of one, a map.
template <class M>
concept EigenMemory = requires(const M& matrix) {
  matrix.derived();
  matrix.innerStride();
  matrix.data();
} && Element<typename M::Scalar> && std::is_base_of_v<Eigen::MatrixBase<M>, M>;

/// Shows an Eigen matrix as a read-only tensor `[rows, columns]`, or a vector as `[size]`, without
/// copying. An expression without memory of its own, or a temporary matrix, does not compile.
///
/// Ownership  borrows: what the matrix refers to must outlive the tensor, its copies and views
/// Errors     invalid_argument: a negative stride
template <EigenMemory M>
Result<Tensor> tensor_view(const M& matrix);
template <class M>
  requires(std::is_base_of_v<Eigen::PlainObjectBase<M>, M>)
Result<Tensor> tensor_view(const M&& matrix) = delete;

/// As `tensor_view`, writable through the tensor.
template <EigenMemory M>
Result<Tensor> mutable_tensor_view(M& matrix);

/// Moves an Eigen matrix or vector into a tensor `[rows, columns]` or `[size]` of the same logical
/// content; the memory stays as it is, row- or column-major.
///
/// Ownership  the tensor owns the matrix
/// Cost       one small allocation; elements are copied only if the matrix holds them inline
template <EigenMemory M>
  requires(std::is_base_of_v<Eigen::PlainObjectBase<M>, M>)
Result<Tensor> tensor_of(M&& matrix);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <Element T>
Result<void> readable_as(const Tensor& tensor, std::size_t rank, std::string_view what) {
  if (tensor.data<T>() != nullptr && tensor.rank() == rank) return {};
  const bool is_empty = tensor.is_defined() && tensor.numel() == 0;
  if (is_empty && tensor.rank() == rank && tensor.dtype() == dtype_of<T> &&
      tensor.device().is_cpu()) {
    return {};
  }
  return Error(Status::invalid_argument,
               text({what, ": expected ", to_string(dtype_of<T>), " of rank ", std::to_string(rank),
                     " in host memory, got ", to_string(tensor)}));
}

template <class T, class Pointer>
MatrixMap<T> matrix_map(const Tensor& tensor, Pointer data) {
  return MatrixMap<T>(data, tensor.shape()[0], tensor.shape()[1],
                      {tensor.strides()[0], tensor.strides()[1]});
}
template <class T, class Pointer>
VectorMap<T> vector_map(const Tensor& tensor, Pointer data) {
  return VectorMap<T>(data, tensor.shape()[0], Eigen::InnerStride<>(tensor.strides()[0]));
}

template <class M, class Pointer>
Result<Tensor> tensor_over(const M& matrix, Pointer data, Owner owner) {
  constexpr DType dtype = dtype_of<typename M::Scalar>;
  if constexpr (M::IsVectorAtCompileTime) {
    const std::array<std::int64_t, 1> strides{matrix.innerStride()};
    return Tensor::adopt(data, dtype, Shape{matrix.size()}, strides, cpu, std::move(owner));
  } else {
    std::array<std::int64_t, 2> strides{matrix.outerStride(), matrix.innerStride()};
    if constexpr (!M::IsRowMajor) std::swap(strides[0], strides[1]);
    return Tensor::adopt(data, dtype, Shape{matrix.rows(), matrix.cols()}, strides, cpu,
                         std::move(owner));
  }
}

}  // namespace detail

template <Element T>
Result<MatrixMap<const T>> as_matrix(const Tensor& tensor) {
  GALLEY_TRY(detail::readable_as<T>(tensor, 2, "matrix"));
  return detail::matrix_map<const T>(tensor, tensor.data<T>());
}

template <Element T>
Result<MatrixMap<T>> as_mutable_matrix(Tensor& tensor) {
  GALLEY_TRY(detail::readable_as<T>(tensor, 2, "matrix"));
  if (tensor.is_read_only()) return Error(Status::failed_precondition, "matrix: read-only tensor");
  return detail::matrix_map<T>(tensor, tensor.mutable_data<T>());
}

template <Element T>
Result<VectorMap<const T>> as_vector(const Tensor& tensor) {
  GALLEY_TRY(detail::readable_as<T>(tensor, 1, "vector"));
  return detail::vector_map<const T>(tensor, tensor.data<T>());
}

template <Element T>
Result<VectorMap<T>> as_mutable_vector(Tensor& tensor) {
  GALLEY_TRY(detail::readable_as<T>(tensor, 1, "vector"));
  if (tensor.is_read_only()) return Error(Status::failed_precondition, "vector: read-only tensor");
  return detail::vector_map<T>(tensor, tensor.mutable_data<T>());
}

template <EigenMemory M>
Result<Tensor> tensor_view(const M& matrix) {
  const typename M::Scalar* data = matrix.data();
  return detail::tensor_over(matrix, static_cast<const void*>(data), Owner());
}

template <EigenMemory M>
Result<Tensor> mutable_tensor_view(M& matrix) {
  typename M::Scalar* data = matrix.data();
  return detail::tensor_over(matrix, static_cast<void*>(data), Owner());
}

template <EigenMemory M>
  requires(std::is_base_of_v<Eigen::PlainObjectBase<M>, M>)
Result<Tensor> tensor_of(M&& matrix) {
  Held<M> held = Owner::hold(std::forward<M>(matrix));
  return detail::tensor_over(*held.value, static_cast<void*>(held.value->data()),
                             std::move(held.owner));
}

}  // namespace galley::inline v1
