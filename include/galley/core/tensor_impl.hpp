// The implementation of Tensor's members; include <galley/core/tensor.hpp>.
#pragma once

#include <galley/core/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

inline Tensor::Fields::Fields(void* memory, DType type, std::span<const std::int64_t> extents,
                              std::span<const std::int64_t> steps, const Device& where) noexcept
    : data(memory), shape(Unchecked{}, extents), device(where), dtype(type), defined(true) {
  GALLEY_ASSERT(extents.size() == steps.size());
  std::copy(steps.begin(), steps.end(), strides.begin());
  numel = 1;
  for (const std::int64_t extent : extents) numel *= extent;
  contiguous = detail::is_row_major(extents, strides);
}

inline Tensor::Fields::Fields(const Fields& block, std::size_t row) noexcept
    : data(block.data),
      shape(block.shape.row_shape()),
      device(block.device),
      dtype(block.dtype),
      defined(block.defined),
      read_only(block.read_only) {
  GALLEY_ASSERT(block.shape.rank() > 0 && row < static_cast<std::size_t>(block.shape[0]));
  for (std::size_t d = 0; d < shape.rank(); ++d) strides[d] = block.strides[d + 1];
  numel = block.numel / block.shape[0];
  if (numel > 0) {
    const std::int64_t offset = static_cast<std::int64_t>(row) * block.strides[0];
    data = static_cast<std::byte*>(data) + offset * static_cast<std::int64_t>(size_of(dtype));
  }
  contiguous = block.contiguous || detail::is_row_major(shape.extents(), strides);
}

inline Result<Tensor> Tensor::make(void* data, DType dtype, const Shape& shape,
                                   std::span<const std::int64_t> strides, const Device& device,
                                   Owner owner, bool read_only) {
  const auto wrong = [&](std::string_view why) {
    return Error(Status::invalid_argument,
                 detail::text({"tensor ", to_string(dtype), " ", to_string(shape), ": ", why}));
  };
  const std::optional<std::int64_t> numel = shape.numel();
  if (!numel.has_value()) {
    return wrong(shape.is_fixed() ? "expected at most 2^63 - 1 elements"
                                  : "expected a shape without a free dimension");
  }
  Tensor made;
  if (strides.empty()) {
    made.f_.strides = detail::row_major_strides(shape);
    made.f_.contiguous = true;
  } else {
    if (strides.size() != shape.rank()) return wrong("expected one stride for each dimension");
    for (std::size_t d = 0; d < strides.size(); ++d) {
      if (strides[d] < 0) return wrong("expected strides of 0 or more");
      made.f_.strides[d] = strides[d];
    }
    made.f_.contiguous = detail::is_row_major(shape.extents(), made.f_.strides);
  }
  constexpr std::int64_t most_bytes = std::numeric_limits<std::ptrdiff_t>::max() / 2;
  const std::optional<std::int64_t> spanned =
      made.f_.contiguous ? numel : detail::elements_spanned(shape, made.f_.strides);
  const auto element = static_cast<std::int64_t>(size_of(dtype));
  if (!spanned.has_value() || *spanned > most_bytes / element || *numel > most_bytes / element) {
    return wrong("expected less memory than an address can reach");
  }
  if (*numel > 0 && data == nullptr) return wrong("got a null pointer");
  if (device.is_cpu() && reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) != 0) {
    return wrong("expected memory aligned to its dtype");
  }
  made.owner_ = std::move(owner);
  made.f_.data = data;
  made.f_.numel = *numel;
  made.f_.shape = shape;
  made.f_.device = device;
  made.f_.dtype = dtype;
  made.f_.defined = true;
  made.f_.read_only = read_only;
  return made;
}

inline Result<Tensor> Tensor::empty(DType dtype, const Shape& shape, Workspace* workspace) {
  // Checked on a stand-in for the memory, so that nothing is allocated for a shape that is wrong.
  alignas(memory_alignment) static constexpr std::byte somewhere{};
  GALLEY_TRY(Tensor made,
             make(const_cast<std::byte*>(&somewhere), dtype, shape, {}, cpu, Owner(), false));
  Allocation memory = allocate_memory(made.byte_size(), workspace);
  if (memory.data == nullptr) {
    return Error(
        Status::resource_exhausted,
        detail::text({"tensor ", to_string(dtype), " ", to_string(shape), ": out of memory for ",
                      std::to_string(made.byte_size()), " bytes"}));
  }
  made.owner_ = std::move(memory.owner);
  made.f_.data = memory.data;
  return made;
}

inline Result<Tensor> Tensor::zeros(DType dtype, const Shape& shape, Workspace* workspace) {
  Result<Tensor> made = empty(dtype, shape, workspace);
  if (made.has_value()) std::memset(made->f_.data, 0, made->byte_size());
  return made;
}

inline Error Tensor::wrong_count(const Shape& shape, std::size_t got) {
  return Error(Status::invalid_argument, detail::text({"tensor ", to_string(shape),
                                                       ": expected as many values as elements, "
                                                       "got ",
                                                       std::to_string(got)}));
}

template <ElementRange R>
Result<Tensor> Tensor::copy_of(const R& values, const Shape& shape, Workspace* workspace) {
  using T = std::remove_cvref_t<decltype(*std::data(values))>;
  const auto numel = shape.numel();
  if (!numel.has_value() || static_cast<std::size_t>(*numel) != std::size(values)) {
    return wrong_count(shape, std::size(values));
  }
  Result<Tensor> made = empty(dtype_of<T>, shape, workspace);
  if (made.has_value() && *numel > 0) {
    std::memcpy(made->f_.data, std::data(values), made->byte_size());
  }
  return made;
}

template <BorrowableRange R>
Result<Tensor> Tensor::view(R&& values, const Shape& shape, std::span<const std::int64_t> strides) {
  using T = std::remove_cvref_t<decltype(*std::data(values))>;
  if (strides.empty()) {
    const std::optional<std::int64_t> numel = shape.numel();
    if (static_cast<std::size_t>(numel.value_or(any)) != std::size(values)) {
      return wrong_count(shape, std::size(values));
    }
    return adopt(std::data(values), dtype_of<T>, shape, {}, cpu, Owner());
  }
  GALLEY_TRY(Tensor made, adopt(std::data(values), dtype_of<T>, shape, strides, cpu, Owner()));
  const auto needed = static_cast<std::size_t>(*detail::elements_spanned(shape, made.f_.strides));
  if (needed > std::size(values)) {
    return Error(
        Status::invalid_argument,
        detail::text({"tensor ", to_string(shape), ": expected at least ", std::to_string(needed),
                      " values beneath its strides, got ", std::to_string(std::size(values))}));
  }
  return made;
}

template <Element T>
  requires(!std::same_as<T, bool>)
Result<Tensor> Tensor::from(std::vector<T>&& values, const Shape& shape) {
  const auto numel = shape.numel();
  if (!numel.has_value() || static_cast<std::size_t>(*numel) != values.size()) {
    return wrong_count(shape, values.size());
  }
  // NOLINTBEGIN(clang-analyzer-cplusplus.NewDeleteLeaks): the owner goes with the tensor
  Held<std::vector<T>> held = Owner::hold(std::move(values));
  return adopt(held.value->data(), dtype_of<T>, shape, {}, cpu, std::move(held.owner));
  // NOLINTEND(clang-analyzer-cplusplus.NewDeleteLeaks)
}

inline Error Tensor::not_a_span(DType wanted) const {
  std::string got = to_string(*this);
  if (f_.defined && !f_.contiguous) got.append(", not contiguous");
  return Error(Status::invalid_argument,
               detail::text({"elements of a tensor: expected contiguous ", to_string(wanted),
                             " in host memory, got ", got}));
}

inline Result<void> Tensor::readable() const {
  if (f_.defined && f_.device.is_cpu()) return {};
  return Error(
      Status::invalid_argument,
      detail::text({"elements of a tensor: expected host memory, got ", to_string(*this)}));
}

inline Tensor Tensor::slice(std::size_t first, std::size_t count) const noexcept {
  GALLEY_ASSERT(rank() > 0 && first + count <= static_cast<std::size_t>(f_.shape[0]));
  Tensor made = *this;
  Fields& f = made.f_;
  const auto rows = static_cast<std::int64_t>(count);
  f.shape = f_.shape.with_rows(rows);
  f.numel = rows == 0 ? 0 : f_.numel / f_.shape[0] * rows;
  if (f.numel > 0) f.data = at(static_cast<std::int64_t>(first) * f_.strides[0]);
  f.contiguous = f_.contiguous || detail::is_row_major(f.shape.extents(), f.strides);
  return made;
}

inline Result<Tensor> Tensor::as_block() const {
  if (!f_.defined) return Error(Status::invalid_argument, "a row: got an undefined tensor");
  GALLEY_TRY(const Shape shape, f_.shape.batch_shape(1));
  Tensor made = *this;
  made.f_.shape = shape;
  made.f_.strides[0] = f_.numel;
  std::copy_n(f_.strides.begin(), rank(), made.f_.strides.begin() + 1);
  return made;
}

inline Result<Tensor> Tensor::reshape(const Shape& shape) const {
  const auto wrong = [&](std::string_view why) {
    return Error(Status::invalid_argument, detail::text({"reshape to ", to_string(shape), ": ", why,
                                                         ", got ", to_string(*this)}));
  };
  if (!f_.defined || !f_.contiguous) return wrong("expected a contiguous tensor");
  std::array<std::int64_t, Shape::max_rank> extents{};
  std::copy(shape.extents().begin(), shape.extents().end(), extents.begin());
  const auto end = extents.begin() + static_cast<std::ptrdiff_t>(shape.rank());
  if (const auto free = std::find(extents.begin(), end, any); free != end) {
    *free = 1;
    const auto rest = (*Shape::of({extents.data(), shape.rank()})).numel();
    if (!rest.has_value() || *rest == 0) return wrong("expected as many elements");
    *free = f_.numel / *rest;
  }
  GALLEY_TRY(const Shape fixed, Shape::of({extents.data(), shape.rank()}));
  if (fixed.numel() != f_.numel) return wrong("expected as many elements");
  Tensor made = *this;
  made.f_.shape = fixed;
  made.f_.strides = detail::row_major_strides(fixed);
  return made;
}

inline Result<Tensor> Tensor::copy(Workspace* workspace) const {
  GALLEY_TRY(readable());
  GALLEY_TRY(Tensor made, empty(f_.dtype, f_.shape, workspace));
  detail::copy_strided(made.at(0), at(0), size_of(f_.dtype), f_.shape.extents(), f_.strides);
  return made;
}

inline Result<Tensor> Tensor::contiguous(Workspace* workspace) const {
  if (f_.contiguous) return *this;
  return copy(workspace);
}

inline Result<Tensor> Tensor::owned() const {
  if (is_owned()) return *this;
  return copy(nullptr);
}

inline Result<void> Tensor::copy_into(std::span<std::byte> bytes) const {
  GALLEY_TRY(readable());
  if (bytes.size() != byte_size()) {
    return Error(
        Status::invalid_argument,
        detail::text({"copying ", to_string(*this), ": expected room for ",
                      std::to_string(byte_size()), " bytes, got ", std::to_string(bytes.size())}));
  }
  detail::copy_strided(bytes.data(), at(0), size_of(f_.dtype), f_.shape.extents(), f_.strides);
  return {};
}

inline bool operator==(const Tensor& a, const Tensor& b) noexcept {
  const auto& x = a.f_;
  const auto& y = b.f_;
  if (!x.defined || !y.defined) return x.defined == y.defined;
  if (x.dtype != y.dtype || x.shape != y.shape || x.device != y.device) return false;
  if (x.numel == 0) return true;
  if (x.data == y.data && a.f_.strides == b.f_.strides) return true;
  if (!x.device.is_cpu()) return false;
  if (x.contiguous && y.contiguous) return std::memcmp(x.data, y.data, a.byte_size()) == 0;
  return detail::equal_strided(a.at(0), x.strides, b.at(0), y.strides, size_of(x.dtype),
                               x.shape.extents());
}

}  // namespace galley::inline v1
