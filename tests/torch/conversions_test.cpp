// Tensor and at::Tensor: one memory, two handles.
#include <galley/torch/tensor.hpp>

#include <torch/script.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::from_torch;
using galley::Rows;
using galley::Status;
using galley::Tensor;
using galley::to_torch;

TEST_CASE("a LibTorch tensor and ours are one memory", "[torch]") {
  at::Tensor theirs = at::arange(6, at::kFloat).view({2, 3});
  const void* memory = theirs.data_ptr();
  Tensor ours = *from_torch(theirs);
  CHECK(ours.data() == memory);
  CHECK(ours.dtype() == galley::f32);
  CHECK(ours.shape() == galley::Shape{2, 3});
  CHECK(ours.is_owned());

  theirs[1][2] = 42.0F;
  CHECK(ours.data<float>()[5] == 42.0F);
  (*ours.mutable_span<float>())[0] = 7.0F;
  CHECK(theirs[0][0].item<float>() == 7.0F);

  theirs.reset();  // ours holds it now
  CHECK(ours.data<float>()[5] == 42.0F);
}

TEST_CASE("a tensor that came from LibTorch gives the same at::Tensor back", "[torch]") {
  const at::Tensor theirs = at::rand({2, 3});
  const Tensor ours = *from_torch(theirs);
  CHECK(to_torch(ours)->is_same(theirs));
  const Tensor row = ours.row(1);
  const at::Tensor part = *to_torch(row);
  CHECK(part.data_ptr() == theirs.data_ptr<float>() + 3);
  CHECK(part.sizes() == at::IntArrayRef({3}));
}

TEST_CASE("an at::Tensor keeps what our tensor owns", "[torch]") {
  std::vector<float> values{1, 2, 3, 4};
  const float* memory = values.data();
  at::Tensor theirs;
  {
    const Tensor ours = *Tensor::from(std::move(values), {2, 2});
    theirs = *to_torch(ours);
  }
  CHECK(theirs.data_ptr() == memory);
  CHECK(theirs[1][0].item<float>() == 3.0F);
}

TEST_CASE("borrowed memory stays borrowed", "[torch]") {
  std::vector<std::int64_t> values{1, 2, 3};
  const Tensor ours = *Tensor::view(values, {3});
  const at::Tensor theirs = *to_torch(ours);
  values[1] = 20;
  CHECK(theirs.data_ptr() == values.data());
  CHECK(theirs[1].item<std::int64_t>() == 20);
}

TEST_CASE("strides are kept both ways", "[torch]") {
  const at::Tensor theirs = at::arange(6, at::kInt).view({2, 3}).t();
  const Tensor ours = *from_torch(theirs);
  REQUIRE(ours.shape() == galley::Shape{3, 2});
  CHECK(ours.strides()[0] == 1);
  CHECK(ours.strides()[1] == 3);
  const Tensor dense = *ours.contiguous();
  CHECK((*dense.span<std::int32_t>())[1] == 3);

  const std::vector<double> column_major{1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> strides{1, 2};
  const Tensor strided = *Tensor::view(column_major, {2, 3}, strides);
  const at::Tensor back = *to_torch(strided);
  CHECK(back.stride(1) == 2);
  CHECK(back[0][1].item<double>() == 3.0);
}

TEST_CASE("a value that LibTorch negates lazily is taken as it reads", "[torch]") {
  const at::Tensor imaginary = at::_neg_view(at::arange(3, at::kFloat));
  REQUIRE(imaginary.is_neg());
  CHECK(from_torch(imaginary)->data<float>()[2] == -2.0F);
}

TEST_CASE("an undefined tensor is undefined on the other side", "[torch]") {
  CHECK_FALSE(from_torch(at::Tensor())->is_defined());
  CHECK_FALSE(to_torch(Tensor())->defined());
  CHECK(galley::rows_from_torch(at::Tensor()).status() == Status::invalid_argument);
}

TEST_CASE("every element type of ours has a name in LibTorch, and back", "[torch]") {
  for (int i = 0; i <= static_cast<int>(galley::DType::boolean); ++i) {
    const auto dtype = static_cast<galley::DType>(i);
    CHECK(*from_torch(to_torch(dtype)) == dtype);
    CHECK(c10::elementSize(to_torch(dtype)) == galley::size_of(dtype));
    const at::Tensor theirs = at::zeros({2}, at::TensorOptions(to_torch(dtype)));
    CHECK(from_torch(theirs)->dtype() == dtype);
    CHECK(to_torch(*Tensor::zeros(dtype, {2}))->scalar_type() == theirs.scalar_type());
  }
}

TEST_CASE("what galley has no form for is refused", "[torch]") {
  CHECK(from_torch(at::zeros({2}, at::kComplexFloat)).status() == Status::unimplemented);
  CHECK(from_torch(at::zeros({2, 2}).to_sparse()).status() == Status::unimplemented);
  CHECK(from_torch(at::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1})).status() == Status::unimplemented);
  CHECK(galley::rows_from_torch(at::zeros({})).status() == Status::invalid_argument);
}

TEST_CASE("devices have the same names on both sides", "[torch]") {
  CHECK(*from_torch(at::Device(at::kCUDA, 1)) == galley::Device("cuda", 1));
  CHECK(*to_torch(galley::Device("cuda", 1)) == at::Device(at::kCUDA, 1));
  CHECK(*to_torch(galley::cpu) == at::Device(at::kCPU));
  CHECK(to_torch(galley::Device("tea")).status() == Status::unimplemented);
}

TEST_CASE("the rows of a LibTorch batch are its rows", "[torch]") {
  const at::Tensor batch = at::arange(6, at::kFloat).view({3, 2});
  const Rows<Tensor> rows = *galley::rows_from_torch(batch);
  REQUIRE(rows.size() == 3);
  CHECK(rows[2].data() == batch.data_ptr<float>() + 4);
  CHECK(rows[2].shape() == galley::Shape{2});
  CHECK(to_torch(*rows.block())->is_same(batch));
}
