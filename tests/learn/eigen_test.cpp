#include <galley/core/tensor_rows.hpp>
#include <galley/learn/eigen.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::f32;
using galley::Rows;
using galley::Shape;
using galley::Status;
using galley::Tensor;

namespace {

using ColumnMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class M>
M two_by_three() {
  M matrix(2, 3);
  matrix << 0, 1, 2, 3, 4, 5;
  return matrix;
}

Tensor wanted() {
  return *Tensor::copy_of({0.F, 1.F, 2.F, 3.F, 4.F, 5.F}, {2, 3});
}

}  // namespace

TEST_CASE("row- and column-major memory give the same matrix", "[eigen]") {
  const std::vector<float> rows = {0, 1, 2, 3, 4, 5};
  const std::vector<float> columns = {0, 3, 1, 4, 2, 5};
  const std::vector<std::int64_t> strides = {1, 2};
  const Tensor row_major = *Tensor::view(rows, {2, 3});
  const Tensor column_major = *Tensor::view(columns, {2, 3}, strides);
  const auto a = galley::as_matrix<float>(row_major);
  const auto b = galley::as_matrix<float>(column_major);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  CHECK(a->data() == rows.data());
  CHECK(b->data() == columns.data());
  CHECK(*a == *b);
  CHECK(*a == two_by_three<ColumnMajor>());
  CHECK(*a * a->transpose() == *b * b->transpose());
}

TEST_CASE("a matrix of either order becomes the same tensor without a copy", "[eigen]") {
  const auto row_major = two_by_three<RowMajor>();
  const auto column_major = two_by_three<ColumnMajor>();
  const auto a = galley::tensor_view(row_major);
  const auto b = galley::tensor_view(column_major);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  CHECK(a->data() == row_major.data());
  CHECK(b->data() == column_major.data());
  CHECK(a->is_contiguous());
  CHECK_FALSE(b->is_contiguous());
  CHECK(a->is_read_only());
  CHECK_FALSE(a->is_owned());
  CHECK(*a == wanted());
  CHECK(*b == wanted());
}

TEST_CASE("a matrix moved in is owned by the tensor and keeps its memory", "[eigen]") {
  auto matrix = two_by_three<ColumnMajor>();
  const float* where = matrix.data();
  Tensor row;
  {
    const auto tensor = galley::tensor_of(std::move(matrix));
    REQUIRE(tensor.has_value());
    CHECK(tensor->data() == where);
    CHECK(tensor->is_owned());
    CHECK(*tensor == wanted());
    row = tensor->row(1);
  }
  CHECK(row == *Tensor::copy_of({3.F, 4.F, 5.F}, {3}));
}

TEST_CASE("a matrix held inline and a vector move in too", "[eigen]") {
  Eigen::Matrix4f square = Eigen::Matrix4f::Identity();
  const auto tensor = galley::tensor_of(std::move(square));
  REQUIRE(tensor.has_value());
  CHECK(tensor->shape() == Shape{4, 4});
  CHECK(*galley::as_matrix<float>(*tensor) == Eigen::Matrix4f::Identity());

  Eigen::VectorXd vector = Eigen::VectorXd::LinSpaced(3, 0, 2);
  const auto flat = galley::tensor_of(std::move(vector));
  REQUIRE(flat.has_value());
  CHECK(*flat == *Tensor::copy_of({0.0, 1.0, 2.0}, {3}));
  const Eigen::RowVector2f row(1, 2);
  CHECK(*galley::tensor_view(row) == *Tensor::copy_of({1.F, 2.F}, {2}));
}

TEST_CASE("parts of a matrix are strided tensors", "[eigen]") {
  const auto matrix = two_by_three<ColumnMajor>();
  CHECK(*galley::tensor_view(matrix.block(0, 1, 2, 2)) ==
        *Tensor::copy_of({1.F, 2.F, 4.F, 5.F}, {2, 2}));
  CHECK(*galley::tensor_view(matrix.row(1)) == *Tensor::copy_of({3.F, 4.F, 5.F}, {3}));
  CHECK(*galley::tensor_view(matrix.col(2)) == *Tensor::copy_of({2.F, 5.F}, {2}));
}

TEST_CASE("a temporary matrix cannot be viewed", "[eigen]") {
  const auto viewable = []<class M>(M&& matrix) {
    return requires { galley::tensor_view(std::forward<M>(matrix)); };
  };
  const RowMajor matrix = two_by_three<RowMajor>();
  CHECK(viewable(matrix));
  CHECK(viewable(matrix.row(0)));
  CHECK_FALSE(viewable(two_by_three<RowMajor>()));
  CHECK_FALSE(viewable(matrix * 2.0F));
}

TEST_CASE("a tensor's rows and a vector are the same memory", "[eigen]") {
  const Tensor matrix = wanted();
  const Tensor row = matrix.row(1);
  const auto vector = galley::as_vector<float>(row);
  REQUIRE(vector.has_value());
  CHECK(vector->data() == matrix.data<float>() + 3);
  CHECK(vector->sum() == 12.0F);

  const std::vector<float> columns = {0, 3, 1, 4, 2, 5};
  const std::vector<std::int64_t> strides = {1, 2};
  const Tensor strided = *Tensor::view(columns, {2, 3}, strides);
  const Tensor strided_row = strided.row(1);
  CHECK(*galley::as_vector<float>(strided_row) == *vector);
}

TEST_CASE("writing through a map is seen by the tensor, unless it is read-only", "[eigen]") {
  Tensor tensor = wanted();
  auto matrix = galley::as_mutable_matrix<float>(tensor);
  REQUIRE(matrix.has_value());
  *matrix *= 2.0F;
  CHECK(tensor == *Tensor::copy_of({0.F, 2.F, 4.F, 6.F, 8.F, 10.F}, {2, 3}));
  Tensor row = tensor.row(0);
  galley::as_mutable_vector<float>(row)->setOnes();
  CHECK(tensor.row(0) == *Tensor::copy_of({1.F, 1.F, 1.F}, {3}));

  Tensor frozen = tensor.as_read_only();
  Tensor frozen_row = frozen.row(0);
  CHECK(galley::as_mutable_matrix<float>(frozen).status() == Status::failed_precondition);
  CHECK(galley::as_mutable_vector<float>(frozen_row).status() == Status::failed_precondition);
  CHECK(galley::as_matrix<float>(frozen).has_value());

  auto own = two_by_three<ColumnMajor>();
  auto view = galley::mutable_tensor_view(own);
  REQUIRE(view.has_value());
  (*galley::as_mutable_matrix<float>(*view))(1, 0) = 30;
  CHECK(own(1, 0) == 30);
}

TEST_CASE("what is no such matrix is refused", "[eigen]") {
  const auto cube = galley::as_matrix<float>(*Tensor::zeros(f32, {2, 2, 2}));
  CHECK(cube.status() == Status::invalid_argument);
  CHECK(cube.error().detail ==
        "matrix: expected float32 of rank 2 in host memory, got float32 [2, 2, 2]");
  CHECK(galley::as_matrix<double>(wanted()).status() == Status::invalid_argument);
  CHECK(galley::as_matrix<float>(Tensor()).status() == Status::invalid_argument);
  CHECK(galley::as_vector<float>(wanted()).status() == Status::invalid_argument);
  auto* nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1000});
  const auto far = Tensor::adopt(nowhere, f32, {2, 2}, {}, galley::Device("fakechip"), {});
  CHECK(galley::as_matrix<float>(*far).status() == Status::invalid_argument);
}

TEST_CASE("matrices without elements pass both ways", "[eigen]") {
  const auto none = galley::tensor_of(RowMajor(0, 3));
  REQUIRE(none.has_value());
  CHECK(none->shape() == Shape{0, 3});
  const auto matrix = galley::as_matrix<float>(*none);
  REQUIRE(matrix.has_value());
  CHECK(matrix->rows() == 0);
  CHECK(matrix->cols() == 3);
  CHECK(galley::as_vector<float>(*Tensor::from(std::vector<float>(), {0}))->size() == 0);
}

TEST_CASE("the rows of a matrix are a batch", "[eigen]") {
  const auto rows = Rows<Tensor>::of_block(*galley::tensor_of(two_by_three<ColumnMajor>()));
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[1] == *Tensor::copy_of({3.F, 4.F, 5.F}, {3}));
}
