#include <galley/core/tensor.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <memory_resource>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Device;
using galley::f32;
using galley::Owner;
using galley::Shape;
using galley::Status;
using galley::Tensor;

namespace {

std::vector<float> counting(std::size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

std::vector<float> elements(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
  REQUIRE(tensor.copy_into(std::as_writable_bytes(std::span(values))).has_value());
  return values;
}

/// Counts what it hands out and what comes back.
class CountingWorkspace : public std::pmr::memory_resource {
 public:
  int allocated = 0;
  int live = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++allocated;
    ++live;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    --live;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

TEST_CASE("a default tensor is undefined and can be asked anything", "[tensor]") {
  const Tensor none;
  CHECK_FALSE(none.is_defined());
  CHECK(none.numel() == 0);
  CHECK(none.data() == nullptr);
  CHECK(none.data<float>() == nullptr);
  CHECK(to_string(none) == "an undefined tensor");
  CHECK(none == Tensor());
  CHECK(none.span<float>().status() == Status::invalid_argument);
  CHECK(none.as_block().status() == Status::invalid_argument);
  CHECK(none.reshape({1}).status() == Status::invalid_argument);
  CHECK(none.contiguous().status() == Status::invalid_argument);
  CHECK(none.owned().status() == Status::invalid_argument);
  CHECK(none.copy_into({}).status() == Status::invalid_argument);
}

TEST_CASE("fresh memory is aligned, writable, contiguous and owned", "[tensor]") {
  auto tensor = Tensor::empty(f32, {3, 5});
  REQUIRE(tensor.has_value());
  CHECK(reinterpret_cast<std::uintptr_t>(tensor->data()) % galley::memory_alignment == 0);
  CHECK(tensor->numel() == 15);
  CHECK(tensor->byte_size() == 60);
  CHECK(tensor->is_contiguous());
  CHECK(tensor->is_owned());
  CHECK(to_string(*tensor) == "float32 [3, 5]");
  CHECK(std::vector(tensor->strides().begin(), tensor->strides().end()) ==
        std::vector<std::int64_t>{5, 1});
  auto values = tensor->mutable_span<float>();
  REQUIRE(values.has_value());
  for (float& value : *values) value = 2.5F;
  CHECK(elements(*tensor) == std::vector<float>(15, 2.5F));
}

TEST_CASE("zeros are zero and a scalar has one element", "[tensor]") {
  const auto scalar = Tensor::zeros(galley::i64, {});
  REQUIRE(scalar.has_value());
  CHECK(scalar->numel() == 1);
  CHECK((*scalar->span<std::int64_t>())[0] == 0);
  CHECK(elements(*Tensor::zeros(f32, {2, 2})) == std::vector<float>(4, 0.0F));
}

TEST_CASE("a tensor without elements is defined and equal to its like", "[tensor]") {
  const auto none = Tensor::empty(f32, {0, 5});
  REQUIRE(none.has_value());
  CHECK(none->is_defined());
  CHECK(none->span<float>()->empty());
  CHECK(*none == *Tensor::copy_of(std::vector<float>{}, {0, 5}));
  CHECK_FALSE(*none == *Tensor::empty(f32, {0, 4}));
  CHECK(none->slice(0, 0).shape() == Shape{0, 5});
  CHECK(Tensor::from(std::vector<float>{}, {0})->numel() == 0);
}

TEST_CASE("shapes that no memory can have are refused before anything is allocated", "[tensor]") {
  CountingWorkspace workspace;
  constexpr std::int64_t huge = std::int64_t{1} << 61;
  for (const Shape& shape : {Shape{galley::any, 3}, Shape{huge, 2}, Shape{huge, 64, 64},
                             Shape{0, huge, 64}, Shape{huge}}) {
    INFO(to_string(shape));
    const auto tensor = Tensor::empty(galley::f64, shape, &workspace);
    CHECK(tensor.status() == Status::invalid_argument);
    CHECK(tensor.error().detail.find(to_string(shape)) != std::string::npos);
  }
  CHECK(workspace.allocated == 0);
}

TEST_CASE("memory comes from the workspace in one piece and goes back to it", "[tensor]") {
  CountingWorkspace workspace;
  {
    const auto tensor = Tensor::zeros(f32, {100}, &workspace);
    REQUIRE(tensor.has_value());
    CHECK(workspace.allocated == 1);
    CHECK(reinterpret_cast<std::uintptr_t>(tensor->data()) % galley::memory_alignment == 0);
    const Tensor copy = *tensor;
    const Tensor view = copy.slice(10, 5);
    CHECK(workspace.allocated == 1);
    CHECK_FALSE(tensor->is_owned());

    const auto kept = tensor->owned();
    REQUIRE(kept.has_value());
    CHECK(kept->is_owned());
    CHECK(kept->data() != tensor->data());
    CHECK(*kept == *tensor);
    CHECK(workspace.allocated == 1);
  }
  CHECK(workspace.live == 0);
}

TEST_CASE("a copy holds the values and shares nothing with them", "[tensor]") {
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto tensor = Tensor::copy_of(values, {2, 3});
  REQUIRE(tensor.has_value());
  values[0] = 99;
  CHECK(elements(*tensor) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(Tensor::copy_of({true, false}, {2})->dtype() == galley::boolean);
  CHECK(Tensor::copy_of(std::array<std::int64_t, 2>{7, 8}, {2})->dtype() == galley::i64);
}

TEST_CASE("the wrong number of values is refused with both numbers", "[tensor]") {
  std::vector<float> values(5);
  const std::string said = "tensor [2, 3]: expected as many values as elements, got 5";
  const auto copied = Tensor::copy_of(values, {2, 3});
  CHECK(copied.status() == Status::invalid_argument);
  CHECK(copied.error().detail == said);
  CHECK(Tensor::view(values, {2, 3}).error().detail == said);
  CHECK(Tensor::from(std::vector<float>(5), {2, 3}).error().detail == said);
  CHECK(Tensor::copy_of(values, {galley::any}).status() == Status::invalid_argument);
}

TEST_CASE("a view borrows, and writes only where the values are not const", "[tensor]") {
  std::vector<float> values = counting(6);
  auto writable = Tensor::view(values, {2, 3});
  REQUIRE(writable.has_value());
  CHECK(writable->data() == values.data());
  CHECK_FALSE(writable->owner());
  CHECK_FALSE(writable->is_owned());
  (*writable->mutable_span<float>())[4] = 40;
  CHECK(values[4] == 40);

  auto reading = Tensor::view(std::as_const(values), {6});
  REQUIRE(reading.has_value());
  CHECK(reading->is_read_only());
  CHECK(reading->mutable_data() == nullptr);
  CHECK(reading->mutable_data<float>() == nullptr);
  CHECK(reading->mutable_span<float>().status() == Status::failed_precondition);
  CHECK(reading->row(1).is_read_only());
  CHECK_FALSE(reading->owned()->is_read_only());
}

TEST_CASE("a temporary container cannot be borrowed", "[tensor]") {
  STATIC_REQUIRE(galley::BorrowableRange<std::vector<float>&>);
  STATIC_REQUIRE(galley::BorrowableRange<const std::vector<float>&>);
  STATIC_REQUIRE(galley::BorrowableRange<std::span<const float>>);
  STATIC_REQUIRE_FALSE(galley::BorrowableRange<std::vector<float>>);
  STATIC_REQUIRE_FALSE(galley::BorrowableRange<std::initializer_list<float>>);
  STATIC_REQUIRE_FALSE(galley::ElementRange<std::vector<bool>>);
  STATIC_REQUIRE_FALSE(galley::ElementRange<std::string>);
}

TEST_CASE("a strided view must lie within its values", "[tensor]") {
  const std::vector<float> values = counting(6);
  const std::vector<std::int64_t> columns = {1, 2};
  const auto transposed = Tensor::view(values, {2, 3}, columns);
  REQUIRE(transposed.has_value());
  CHECK_FALSE(transposed->is_contiguous());
  CHECK(elements(*transposed) == std::vector<float>{0, 2, 4, 1, 3, 5});

  const auto beyond = Tensor::view(values, {2, 4}, columns);
  CHECK(beyond.status() == Status::invalid_argument);
  CHECK(beyond.error().detail ==
        "tensor [2, 4]: expected at least 8 values beneath its strides, got 6");
}

TEST_CASE("a vector moved in is not copied and dies with the last handle", "[tensor]") {
  std::vector<float> values = counting(6);
  const float* where = values.data();
  auto tensor = Tensor::from(std::move(values), {2, 3});
  REQUIRE(tensor.has_value());
  CHECK(tensor->data() == where);
  CHECK(tensor->is_owned());
  const Tensor row = tensor->row(1);
  *tensor = Tensor();
  CHECK(elements(row) == std::vector<float>{3, 4, 5});
}

TEST_CASE("foreign memory is kept by its owner until the last handle is gone", "[tensor]") {
  auto shared = std::make_shared<std::array<float, 4>>(std::array<float, 4>{1, 2, 3, 4});
  const std::weak_ptr<std::array<float, 4>> watch = shared;
  void* where = shared->data();
  auto tensor = Tensor::adopt(where, f32, {4}, {}, galley::cpu, Owner::of(std::move(shared)));
  REQUIRE(tensor.has_value());
  CHECK(tensor->data() == where);
  Tensor second = tensor->slice(2, 2);
  *tensor = Tensor();
  CHECK_FALSE(watch.expired());
  CHECK(elements(second) == std::vector<float>{3, 4});
  second = Tensor();
  CHECK(watch.expired());
}

TEST_CASE("a deleter runs once, after the last handle, and also when the memory is refused",
          "[tensor]") {
  static int freed = 0;
  freed = 0;
  const auto free = [](void* memory) noexcept {
    ++freed;
    delete[] static_cast<float*>(memory);
  };
  auto* memory = new float[4]{1, 2, 3, 4};
  {
    auto tensor =
        Tensor::adopt(memory, f32, {2, 2}, {}, galley::cpu, Owner::with_deleter(memory, free));
    REQUIRE(tensor.has_value());
    const Tensor row = tensor->row(0);
    CHECK(freed == 0);
  }
  CHECK(freed == 1);

  memory = new float[1]{};
  CHECK_FALSE(
      Tensor::adopt(memory, f32, {galley::any}, {}, galley::cpu, Owner::with_deleter(memory, free))
          .has_value());
  CHECK(freed == 2);
}

TEST_CASE("a backend's own owner is recognised by its table and counts its own references",
          "[tensor]") {
  static int references = 1;
  static constexpr galley::OwnerTable table{[](void* h) noexcept { ++*static_cast<int*>(h); },
                                            [](void* h) noexcept { --*static_cast<int*>(h); }};
  references = 1;
  float value = 3;
  {
    const auto tensor = Tensor::adopt(&value, f32, {1}, {}, galley::cpu, Owner(table, &references));
    REQUIRE(tensor.has_value());
    const Tensor copy = *tensor;
    CHECK(references == 2);
    CHECK(copy.owner().table() == &table);
    CHECK(copy.owner().handle() == &references);
    Owner taken = copy.owner();
    CHECK(references == 3);
    CHECK(taken.detach() == &references);
    CHECK_FALSE(taken);
    CHECK(references == 3);
    --references;
  }
  CHECK(references == 0);
}

TEST_CASE("what a backend vouches for is the tensor that the checks would have made", "[tensor]") {
  std::vector<float> values = counting(6);
  const std::vector<std::int64_t> extents = {2, 3};
  for (const std::vector<std::int64_t>& strides :
       {std::vector<std::int64_t>{3, 1}, std::vector<std::int64_t>{1, 2}}) {
    const Tensor vouched(galley::Unchecked{}, values.data(), f32, extents, strides, galley::cpu,
                         Owner());
    const auto checked = Tensor::adopt(values.data(), f32, {2, 3}, strides, galley::cpu, Owner());
    REQUIRE(checked.has_value());
    CHECK(vouched == *checked);
    CHECK(vouched.is_defined());
    CHECK(vouched.numel() == 6);
    CHECK(vouched.is_contiguous() == checked->is_contiguous());
    CHECK(elements(vouched) == elements(*checked));
    CHECK_FALSE(vouched.is_read_only());
  }
}

TEST_CASE("a row of a block that is moved from takes over its share", "[tensor]") {
  static int references = 1;
  static constexpr galley::OwnerTable table{[](void* h) noexcept { ++*static_cast<int*>(h); },
                                            [](void* h) noexcept { --*static_cast<int*>(h); }};
  references = 1;
  std::vector<float> values = counting(6);
  auto block =
      Tensor::adopt(values.data(), f32, {2, 3}, {}, galley::cpu, Owner(table, &references));
  REQUIRE(block.has_value());
  {
    const Tensor row = std::move(*block).row(1);
    CHECK(references == 1);
    CHECK(elements(row) == std::vector<float>{3, 4, 5});
    CHECK_FALSE(block->is_defined());  // NOLINT: the state after a move is what is tested
  }
  CHECK(references == 0);
}

TEST_CASE("foreign memory that makes no tensor is refused and says why", "[tensor]") {
  alignas(8) std::array<float, 8> values{};
  const auto adopt = [&](void* data, const Shape& shape, std::vector<std::int64_t> strides) {
    const auto tensor = Tensor::adopt(data, f32, shape, strides, galley::cpu, Owner());
    CHECK(tensor.status() == Status::invalid_argument);
    return tensor.has_value() ? std::string() : tensor.error().detail;
  };
  constexpr std::int64_t huge = std::int64_t{1} << 61;
  auto* misaligned = reinterpret_cast<std::byte*>(values.data()) + 2;
  CHECK(adopt(nullptr, {2}, {}) == "tensor float32 [2]: got a null pointer");
  CHECK(adopt(misaligned, {2}, {}) == "tensor float32 [2]: expected memory aligned to its dtype");
  CHECK(adopt(values.data(), {2, galley::any}, {}) ==
        "tensor float32 [2, ?]: expected a shape without a free dimension");
  CHECK(adopt(values.data(), {2, 2}, {2}) ==
        "tensor float32 [2, 2]: expected one stride for each dimension");
  CHECK(adopt(values.data(), {2, 2}, {-2, 1}) ==
        "tensor float32 [2, 2]: expected strides of 0 or more");
  CHECK(adopt(values.data(), {8, 8}, {huge, huge}) ==
        "tensor float32 [8, 8]: expected less memory than an address can reach");
  CHECK(adopt(values.data(), {huge}, {0}) ==
        "tensor float32 [2305843009213693952]: expected less memory than an address can reach");
}

TEST_CASE("elements are read as their own type only", "[tensor]") {
  const auto tensor = Tensor::copy_of({1.0F, 2.0F}, {2});
  REQUIRE(tensor.has_value());
  CHECK(tensor->data<double>() == nullptr);
  CHECK(tensor->data<std::int32_t>() == nullptr);
  const auto wrong = tensor->span<double>();
  CHECK(wrong.status() == Status::invalid_argument);
  CHECK(wrong.error().detail ==
        "elements of a tensor: expected contiguous float64 in host memory, got float32 [2]");
}

TEST_CASE("memory of another device is passed on but never read", "[tensor]") {
  const Device fake("fakechip", 0);
  auto* nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1001});  // not aligned, not mapped
  auto tensor = Tensor::adopt(nowhere, f32, {2, 3}, {}, fake, Owner());
  REQUIRE(tensor.has_value());
  CHECK(to_string(*tensor) == "float32 [2, 3] on fakechip:0");
  CHECK(tensor->data() == nowhere);
  CHECK(tensor->mutable_data() == nowhere);
  CHECK(tensor->data<float>() == nullptr);
  CHECK(tensor->mutable_span<float>().status() == Status::invalid_argument);
  CHECK(tensor->owned().status() == Status::invalid_argument);
  std::array<std::byte, 24> room{};
  CHECK(tensor->copy_into(room).status() == Status::invalid_argument);
  CHECK(*tensor == *tensor);
  CHECK_FALSE(*tensor == tensor->reshape({3, 2}));
  CHECK_FALSE(tensor->row(0) == tensor->row(1));
  CHECK(tensor->row(1).data() == static_cast<std::byte*>(nowhere) + 12);
}

TEST_CASE("a copied handle shares memory and a moved one is left undefined", "[tensor]") {
  auto tensor = Tensor::from(counting(4), {4});
  REQUIRE(tensor.has_value());
  Tensor copy = *tensor;
  CHECK(copy.data() == tensor->data());
  const Tensor moved = std::move(copy);
  CHECK_FALSE(copy.is_defined());  // NOLINT: the state after a move is what is tested
  CHECK(copy.data() == nullptr);
  CHECK(moved == *tensor);
  Tensor& self = *tensor;
  self = std::move(*tensor);
  CHECK(tensor->is_defined());
}

TEST_CASE("rows and slices of a block share its memory", "[tensor]") {
  const auto block = Tensor::from(counting(24), {4, 2, 3});
  REQUIRE(block.has_value());
  const Tensor row = block->row(2);
  CHECK(row.shape() == Shape{2, 3});
  CHECK(row.is_contiguous());
  CHECK(row.data<float>() == block->data<float>() + 12);
  CHECK((*row.span<float>())[5] == 17);

  const Tensor part = block->slice(1, 2);
  CHECK(part.shape() == Shape{2, 2, 3});
  CHECK(part.is_contiguous());
  CHECK((*part.span<float>())[0] == 6);
  CHECK(block->slice(4, 0).numel() == 0);
  CHECK(block->row(3).row(1).row(2).shape() == Shape{});
  CHECK((*block->row(3).row(1).row(2).span<float>())[0] == 23);
}

TEST_CASE("rows of column-major memory have the logical content", "[tensor]") {
  const std::vector<float> columns = {0, 3, 1, 4, 2, 5};  // [[0, 1, 2], [3, 4, 5]]
  const std::vector<std::int64_t> strides = {1, 2};
  const auto matrix = Tensor::view(columns, {2, 3}, strides);
  REQUIRE(matrix.has_value());
  CHECK(elements(*matrix) == counting(6));
  CHECK_FALSE(matrix->row(1).is_contiguous());
  CHECK(elements(matrix->row(1)) == std::vector<float>{3, 4, 5});
  CHECK(elements(matrix->slice(1, 1)) == std::vector<float>{3, 4, 5});
  CHECK(*matrix == *Tensor::from(counting(6), {2, 3}));
  CHECK(matrix->span<float>().error().detail ==
        "elements of a tensor: expected contiguous float32 in host memory, got float32 [2, 3], "
        "not contiguous");

  const auto dense = matrix->contiguous();
  REQUIRE(dense.has_value());
  CHECK(dense->is_contiguous());
  CHECK(dense->is_owned());
  CHECK(*dense == *matrix);
  CHECK(dense->contiguous()->data() == dense->data());
  CHECK(matrix->reshape({6}).status() == Status::invalid_argument);
}

TEST_CASE("every element size and stride pattern copies like a plain triple loop", "[tensor]") {
  const auto run = [](auto zero) {
    using T = decltype(zero);
    std::vector<T> memory(400);
    for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<T>(i % 100);
    for (const std::vector<std::int64_t>& s : std::vector<std::vector<std::int64_t>>{
             {12, 4, 1}, {1, 2, 6}, {40, 10, 2}, {4, 8, 1}, {0, 4, 1}, {0, 0, 0}, {100, 7, 3}}) {
      const auto tensor = Tensor::view(memory, {2, 3, 4}, s);
      REQUIRE(tensor.has_value());
      std::vector<T> wanted;
      for (std::int64_t i = 0; i < 2; ++i) {
        for (std::int64_t j = 0; j < 3; ++j) {
          for (std::int64_t k = 0; k < 4; ++k) {
            wanted.push_back(memory[static_cast<std::size_t>(i * s[0] + j * s[1] + k * s[2])]);
          }
        }
      }
      std::vector<T> got(24);
      REQUIRE(tensor->copy_into(std::as_writable_bytes(std::span(got))).has_value());
      CHECK(got == wanted);
      CHECK(*tensor == *Tensor::view(wanted, {2, 3, 4}));
    }
  };
  run(std::int8_t{});
  run(std::int16_t{});
  run(float{});
  run(double{});
}

TEST_CASE("copying into too little or too much room is refused", "[tensor]") {
  const auto tensor = Tensor::from(counting(2), {2});
  std::array<std::byte, 12> room{};
  const auto copied = tensor->copy_into(std::span(room).first(7));
  CHECK(copied.status() == Status::invalid_argument);
  CHECK(copied.error().detail == "copying float32 [2]: expected room for 8 bytes, got 7");
  CHECK(tensor->copy_into(room).status() == Status::invalid_argument);
}

TEST_CASE("equality looks at dtype, shape, device and bytes", "[tensor]") {
  const auto one = Tensor::copy_of({1.0F, 2.0F}, {2});
  CHECK(*one == *Tensor::copy_of({1.0F, 2.0F}, {2}));
  CHECK_FALSE(*one == *Tensor::copy_of({1.0F, 3.0F}, {2}));
  CHECK_FALSE(*one == *Tensor::copy_of({1.0F, 2.0F}, {1, 2}));
  CHECK_FALSE(*one == *Tensor::copy_of({1.0, 2.0}, {2}));
  CHECK_FALSE(*one == Tensor());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(*Tensor::copy_of({nan}, {1}) == *Tensor::copy_of({nan}, {1}));
  CHECK_FALSE(*Tensor::copy_of({0.0F}, {1}) == *Tensor::copy_of({-0.0F}, {1}));
}

TEST_CASE("reshape keeps the elements and computes one free dimension", "[tensor]") {
  const auto tensor = Tensor::from(counting(12), {3, 4});
  const auto cube = tensor->reshape({2, 2, 3});
  REQUIRE(cube.has_value());
  CHECK(cube->data() == tensor->data());
  CHECK(elements(*cube) == counting(12));
  CHECK(tensor->reshape({galley::any, 6})->shape() == Shape{2, 6});
  CHECK(tensor->reshape({galley::any})->shape() == Shape{12});
  for (const Shape& wrong : {Shape{5}, Shape{galley::any, 5}, Shape{galley::any, galley::any},
                             Shape{galley::any, 0}, Shape{std::int64_t{1} << 62, 4}}) {
    INFO(to_string(wrong));
    CHECK(tensor->reshape(wrong).status() == Status::invalid_argument);
  }
  CHECK(tensor->reshape({5}).error().detail ==
        "reshape to [5]: expected as many elements, got float32 [3, 4]");
}

TEST_CASE("a row is a block of one without a copy", "[tensor]") {
  const auto row = Tensor::from(counting(4), {2, 2});
  const auto block = row->as_block();
  REQUIRE(block.has_value());
  CHECK(block->shape() == Shape{1, 2, 2});
  CHECK(block->data() == row->data());
  CHECK(block->is_contiguous());
  CHECK(block->row(0) == *row);
  CHECK(Tensor::zeros(f32, {})->as_block()->shape() == Shape{1});
  CHECK(Tensor::zeros(f32, {1, 1, 1, 1, 1, 1, 1, 1})->as_block().status() ==
        Status::invalid_argument);
}

TEST_CASE("a read-only handle does not make the others read-only", "[tensor]") {
  auto tensor = Tensor::zeros(f32, {2});
  Tensor frozen = tensor->as_read_only();
  CHECK(frozen.mutable_span<float>().status() == Status::failed_precondition);
  CHECK(frozen.mutable_span<float>().error().detail == "tensor: read-only");
  CHECK(tensor->mutable_span<float>().has_value());
  CHECK(frozen == *tensor);
}
