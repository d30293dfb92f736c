#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/convert.hpp>
#include <src/torch/errors.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace {

using Impl = c10::TensorImpl;
using ImplPtr = c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

void retain(void* handle) noexcept {
  c10::raw::intrusive_ptr::incref(static_cast<Impl*>(handle));
}
void release(void* handle) noexcept {
  c10::raw::intrusive_ptr::decref(static_cast<Impl*>(handle));
}
std::size_t shares(void* handle) noexcept {
  return c10::raw::intrusive_ptr::use_count(static_cast<Impl*>(handle));
}

// Owners of this table are at::Tensor handles: the table's address tells them again.
constexpr OwnerTable torch_table{&retain, &release, false, &shares};

constexpr std::array scalar_types = {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kChar,
                                     at::kShort, at::kInt,    at::kLong, at::kByte,     at::kBool};

constexpr auto most_extents = static_cast<std::int64_t>(Shape::max_rank);

// Our number of an element type, or -1.
int dtype_index(at::ScalarType type) noexcept {
  for (std::size_t i = 0; i < scalar_types.size(); ++i) {
    if (scalar_types[i] == type) return static_cast<int>(i);
  }
  return -1;
}

// The at::Tensor that owns `tensor`'s memory when it shows just this: `lead` extents of 1, then the
// tensor's own; else null.
[[gnu::hot]] inline Impl* whole_handle(const Tensor& tensor, std::size_t lead) {
  if (tensor.owner().table() != &torch_table) return nullptr;
  auto* impl = static_cast<Impl*>(tensor.owner().handle());
  const at::IntArrayRef sizes = impl->sizes();
  const at::IntArrayRef strides = impl->strides();
  if (sizes.size() != tensor.rank() + lead || (lead == 1 && sizes[0] != 1)) return nullptr;
  for (std::size_t d = 0; d < tensor.rank(); ++d) {
    if (sizes[d + lead] != tensor.shape()[d]) return nullptr;
    if (sizes[d + lead] > 1 && strides[d + lead] != tensor.strides()[d]) return nullptr;
  }
  if (impl->data() != tensor.data() ||
      dtype_index(c10::typeMetaToScalarType(impl->dtype())) != static_cast<int>(tensor.dtype())) {
    return nullptr;
  }
  return impl;
}

at::Tensor share(Impl* impl) {
  return at::Tensor(ImplPtr::reclaim_copy(impl));
}

at::Device device_of(const Device& device) {
  if (device.is_cpu()) return at::Device(at::kCPU);
  return at::Device(to_string(device));  // throws for a kind that LibTorch does not know
}

// A new at::Tensor on the tensor's memory under `lead` extents of 1.
at::Tensor wrap(const Tensor& tensor, std::size_t lead, Owner owner = {}) {
  c10::SmallVector<std::int64_t, Shape::max_rank + 1> sizes(lead, 1);
  c10::SmallVector<std::int64_t, Shape::max_rank + 1> strides(
      lead, std::max<std::int64_t>(tensor.numel(), 1));
  sizes.append(tensor.shape().extents().begin(), tensor.shape().extents().end());
  strides.append(tensor.strides().begin(), tensor.strides().end());
  auto* data = const_cast<void*>(tensor.data());  // LibTorch has no read-only tensors
  const at::TensorOptions options =
      at::TensorOptions(to_torch(tensor.dtype())).device(device_of(tensor.device()));
  if (owner) {
    return at::from_blob(
        data, sizes, strides, [kept = std::move(owner)](void*) mutable { kept = Owner(); },
        options);
  }
  return at::from_blob(data, sizes, strides, options);
}

// Why galley has no form for this tensor.
Error without_a_form(const at::Tensor& tensor) {
  Result<DType> dtype = from_torch(tensor.scalar_type());
  if (!dtype.has_value()) return std::move(dtype).error();
  return Error(
      Status::unimplemented,
      detail::text({"LibTorch tensor: expected a strided layout and at most 8 extents, got ",
                    std::to_string(tensor.dim()), " extents"}));
}

// A LibTorch tensor in galley's terms.
struct View {
  void* data;
  DType dtype;
  at::IntArrayRef sizes;
  at::IntArrayRef strides;
  Device device;
};

// What LibTorch has and galley has no form for.
struct NoForm : std::exception {
  explicit NoForm(Error e) : error(std::move(e)) {}
  const char* what() const noexcept override { return error.detail.c_str(); }
  Error error;
};

[[gnu::noinline, gnu::cold]] Device other_device(const c10::Device& device) {
  Result<Device> known = from_torch(device);
  if (!known.has_value()) throw NoForm(std::move(known).error());
  return *known;
}

// What a defined tensor shows, once its memory is its value; valid as long as it is. Throws NoForm.
[[gnu::hot]] inline View view_of(at::Tensor& tensor) {
  if (tensor.is_neg()) [[unlikely]] {
    tensor = tensor.resolve_neg();
  }
  const Impl* impl = tensor.unsafeGetTensorImpl();
  const int dtype = dtype_index(c10::typeMetaToScalarType(impl->dtype()));
  if (dtype < 0 || !impl->unsafe_storage() || impl->dim() > most_extents) [[unlikely]] {
    throw NoForm(without_a_form(tensor));
  }
  return {tensor.data_ptr(), static_cast<DType>(dtype), impl->sizes(), impl->strides(),
          impl->device().is_cpu() ? cpu : other_device(impl->device())};
}

Owner owner_of(at::Tensor&& tensor) {
  return Owner(torch_table, std::move(tensor).unsafeReleaseTensorImpl());
}

}  // namespace

at::ScalarType to_torch(DType dtype) noexcept {
  return scalar_types[static_cast<std::size_t>(dtype)];
}

Result<DType> from_torch(at::ScalarType type) {
  const int index = dtype_index(type);
  if (index >= 0) return static_cast<DType>(index);
  return Error(Status::unimplemented,
               detail::text({"LibTorch's element type ", c10::toString(type),
                             ": expected a real one of at most 64 bits, not quantised"}));
}

Result<c10::Device> to_torch(const Device& device) {
  try {
    return device_of(device);
  } catch (...) {
    return Error(Status::unimplemented,
                 detail::text({"device \"", to_string(device), "\": LibTorch does not know it"}));
  }
}

Result<Device> from_torch(const c10::Device& device) {
  if (device.is_cpu()) return cpu;
  Result<Device> known = Device::parse(device.str());
  if (known.has_value()) return known;
  return Error(Status::unimplemented, known.error().detail);
}

Result<Tensor> from_torch(at::Tensor tensor) {
  if (!tensor.defined()) return Tensor();
  try {
    const View view = view_of(tensor);
    GALLEY_TRY(const Shape shape, Shape::of({view.sizes.data(), view.sizes.size()}));
    return Tensor::adopt(view.data, view.dtype, shape, {view.strides.data(), view.strides.size()},
                         view.device, owner_of(std::move(tensor)));
  } catch (const NoForm& none) {
    return none.error;
  } catch (...) {
    return detail::caught(Status::unimplemented);
  }
}

Result<Rows<Tensor>> rows_from_torch(at::Tensor batch) {
  GALLEY_TRY(Tensor block, from_torch(std::move(batch)));
  return Rows<Tensor>::of_block(std::move(block));
}

Result<at::Tensor> to_torch(const Tensor& tensor) {
  if (!tensor.is_defined()) return at::Tensor();
  try {
    if (Impl* impl = whole_handle(tensor, 0)) return share(impl);
    return wrap(tensor, 0, tensor.owner());
  } catch (...) {
    return detail::caught(Status::unimplemented);
  }
}

namespace detail {

[[gnu::hot]] at::Tensor borrow_row(const Tensor& row) {
  if (Impl* impl = whole_handle(row, 1)) return share(impl);
  return wrap(row, 1);
}

[[gnu::hot]] at::Tensor borrow_block(const Tensor& block) {
  if (Impl* impl = whole_handle(block, 0)) return share(impl);
  return wrap(block, 0);
}

at::Tensor borrow_rows(const Rows<Tensor>& rows, Tensor& keep, Workspace* workspace) {
  const Tensor* block = rows.block();
  if (block == nullptr) {
    if (rows.size() == 1) return borrow_row(rows.ragged().front());
    Result<Tensor> dense = rows.dense(workspace);
    if (!dense.has_value()) throw std::runtime_error(dense.error().detail);
    keep = *std::move(dense);
    block = &keep;
  }
  return borrow_block(*block);
}

[[gnu::hot]] Rows<Tensor> own_rows(at::Tensor batch) {
  const Impl* impl = batch.unsafeGetTensorImpl();
  if (batch.use_count() != 1 || impl->unsafe_storage().use_count() != 1) [[unlikely]] {
    batch = batch.clone(at::MemoryFormat::Contiguous);
  }
  const View view = view_of(batch);
  return Rows<Tensor>(
      Unchecked{}, view.data, view.dtype, std::span(view.sizes.data(), view.sizes.size()),
      std::span(view.strides.data(), view.strides.size()), view.device, owner_of(std::move(batch)));
}

}  // namespace detail

}  // namespace galley::inline v1
