// Tensor: a handle on typed, strided memory: one row, or a block of rows.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/device.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/owner.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/strided.hpp>
#include <galley/core/text.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A contiguous range of elements, such as a std::vector<float> or a std::span<const int64_t>.
template <class R>
concept ElementRange = requires(R& range) {
  requires Element<std::remove_cvref_t<decltype(*std::data(range))>>;
  std::size(range);
};

/// A range whose elements outlive the expression that names it: an lvalue, or a view.
template <class R>
concept BorrowableRange =
    ElementRange<R> &&
    (std::is_lvalue_reference_v<R> || std::ranges::enable_borrowed_range<std::remove_cvref_t<R>>);

class Tensor;

/// Batches of tensors are in <galley/core/tensor_rows.hpp>.
template <>
class Rows<Tensor>;

/// A handle on typed memory: where it is, its dtype, shape, strides, device and owner.
///
/// Copies share the memory; nothing but `copy_of`, `contiguous`, `owned` and `copy_into` copies
/// elements. A default-constructed tensor is *undefined*. Memory is host memory where `device()` is
/// cpu; core never reads or writes any other.
///
/// Ownership  the tensor shares what `owner()` owns; with a null owner the memory is borrowed and
///            must outlive every copy and view. `owned()` is safe to keep.
/// Threads    thread-compatible; tensors sharing memory may be read on several threads
/// Cost       copying and viewing never allocate; a move leaves an undefined tensor
class Tensor {
 public:
  /// Undefined.
  Tensor() = default;

  Tensor(const Tensor&) = default;
  Tensor(Tensor&& other) noexcept : owner_(std::move(other.owner_)), f_(other.f_) {
    other.f_.reset();
  }
  Tensor& operator=(const Tensor&) = default;
  Tensor& operator=(Tensor&& other) noexcept {
    if (this == &other) return *this;
    owner_ = std::move(other.owner_);
    f_ = other.f_;
    other.f_.reset();
    return *this;
  }
  ~Tensor() = default;

  /// Fresh row-major host memory, 64-byte aligned, uninitialised; taken from `workspace` or the
  /// heap in one allocation.
  ///
  /// Errors  invalid_argument: a free dimension or too many elements; resource_exhausted
  static Result<Tensor> empty(DType dtype, const Shape& shape, Workspace* workspace = nullptr);

  /// As `empty`, all bytes zero.
  static Result<Tensor> zeros(DType dtype, const Shape& shape, Workspace* workspace = nullptr);

  /// A copy of `values`, which fill `shape` in row-major order.
  ///
  /// Errors  as `empty`; invalid_argument: not as many values as the shape has elements
  template <ElementRange R>
  static Result<Tensor> copy_of(const R& values, const Shape& shape,
                                Workspace* workspace = nullptr);
  template <Element T>
  static Result<Tensor> copy_of(std::initializer_list<T> values, const Shape& shape,
                                Workspace* workspace = nullptr) {
    return copy_of<std::initializer_list<T>>(values, shape, workspace);
  }

  /// Borrows `values`, which must outlive the tensor, its copies and views; read-only when they are
  /// const. `strides` counts elements; empty means row-major. A temporary container does not
  /// compile.
  ///
  /// Errors  invalid_argument: too few values for the shape and strides, or not exactly as many as
  ///         elements where no strides are given
  template <BorrowableRange R>
  static Result<Tensor> view(R&& values, const Shape& shape,
                             std::span<const std::int64_t> strides = {});

  /// Takes the vector over and shows it in row-major order, without copying elements.
  ///
  /// Errors  invalid_argument: not as many values as the shape has elements
  /// Cost    one small allocation
  template <Element T>
    requires(!std::same_as<T, bool>)
  static Result<Tensor> from(std::vector<T>&& values, const Shape& shape);

  /// Shows foreign memory, kept alive by `owner`; a null owner borrows it. Read-only when `data` is
  /// const. `strides` counts elements, none negative; empty means row-major.
  ///
  /// Errors  invalid_argument: a free dimension, wrong number of strides, a negative one, an extent
  ///         that overflows, null data for elements, host memory not aligned to its dtype
  /// Cost    no allocation, no copy
  static Result<Tensor> adopt(void* data, DType dtype, const Shape& shape,
                              std::span<const std::int64_t> strides, const Device& device,
                              Owner owner) {
    return make(data, dtype, shape, strides, device, std::move(owner), false);
  }
  static Result<Tensor> adopt(const void* data, DType dtype, const Shape& shape,
                              std::span<const std::int64_t> strides, const Device& device,
                              Owner owner) {
    return make(const_cast<void*>(data), dtype, shape, strides, device, std::move(owner), true);
  }

  /// As `adopt`, without its checks: a backend vouches for the extents and strides of a tensor of
  /// its own, as many of one as of the other.
  Tensor(Unchecked, void* data, DType dtype, std::span<const std::int64_t> extents,
         std::span<const std::int64_t> strides, const Device& device, Owner owner) noexcept
      : owner_(std::move(owner)), f_(data, dtype, extents, strides, device) {}

  bool is_defined() const noexcept { return f_.defined; }
  DType dtype() const noexcept { return f_.dtype; }
  const Device& device() const noexcept { return f_.device; }
  const Shape& shape() const noexcept { return f_.shape; }
  std::size_t rank() const noexcept { return f_.shape.rank(); }
  std::span<const std::int64_t> strides() const noexcept { return {f_.strides.data(), rank()}; }
  const Owner& owner() const noexcept { return owner_; }

  /// How many elements; 0 when undefined.
  std::int64_t numel() const noexcept { return f_.numel; }

  /// The bytes of all elements, gaps between strides not counted.
  std::size_t byte_size() const noexcept {
    return static_cast<std::size_t>(f_.numel) * size_of(f_.dtype);
  }

  /// True when the elements lie in row-major order without gaps.
  bool is_contiguous() const noexcept { return f_.contiguous; }
  bool is_read_only() const noexcept { return f_.read_only; }

  /// True when this shares in memory that lives as long as it does: neither borrowed nor taken from
  /// a workspace.
  bool is_owned() const noexcept { return owner_ && !owner_.table()->lent; }

  /// The first element, on whatever device it is.
  const void* data() const noexcept { return f_.data; }
  /// As `data`, or null when read-only.
  void* mutable_data() noexcept { return f_.read_only ? nullptr : f_.data; }

  /// The first element; null unless this is host memory of T.
  template <Element T>
  const T* data() const noexcept {
    return holds<T>() ? static_cast<const T*>(f_.data) : nullptr;
  }
  template <Element T>
  T* mutable_data() noexcept {
    return holds<T>() && !f_.read_only ? static_cast<T*>(f_.data) : nullptr;
  }

  /// The elements in row-major order.
  ///
  /// Errors  invalid_argument: undefined, another dtype, not contiguous, or not host memory
  template <Element T>
  Result<std::span<const T>> span() const {
    if (!holds<T>() || !f_.contiguous) return not_a_span(dtype_of<T>);
    return std::span(static_cast<const T*>(f_.data), static_cast<std::size_t>(f_.numel));
  }
  /// As `span`, for writing; every tensor that shares the memory sees it.
  ///
  /// Errors  as `span`; failed_precondition: read-only
  template <Element T>
  Result<std::span<T>> mutable_span() {
    if (!holds<T>() || !f_.contiguous) return not_a_span(dtype_of<T>);
    if (f_.read_only) return Error(Status::failed_precondition, "tensor: read-only");
    return std::span(static_cast<T*>(f_.data), static_cast<std::size_t>(f_.numel));
  }

  /// Row i of a block, sharing its memory: [n, *F] -> [*F]. The rank is at least 1 and i below n.
  /// Of a block that is moved from, it takes over the block's share in the memory.
  Tensor row(std::size_t i) const& noexcept { return Tensor(*this, i, Owner(owner_)); }
  Tensor row(std::size_t i) && noexcept {
    Tensor made(*this, i, std::move(owner_));
    f_.reset();
    return made;
  }

  /// Rows `first` to `first + count - 1` of a block, sharing its memory: [n, *F] -> [count, *F].
  Tensor slice(std::size_t first, std::size_t count) const noexcept;

  /// This row as a block of one, sharing its memory: [*F] -> [1, *F].
  ///
  /// Errors  invalid_argument: undefined, or of rank 8
  Result<Tensor> as_block() const;

  /// The same elements in row-major order under another shape, sharing the memory; one dimension
  /// may be free and is then computed.
  ///
  /// Errors  invalid_argument: undefined, not contiguous, or another number of elements
  Result<Tensor> reshape(const Shape& shape) const;

  /// A handle on the same memory that cannot be written through.
  Tensor as_read_only() const noexcept {
    Tensor same = *this;
    same.f_.read_only = true;
    return same;
  }

  /// This tensor if it is contiguous, else a row-major copy.
  ///
  /// Errors  invalid_argument: undefined, or strided memory not on the host; resource_exhausted
  Result<Tensor> contiguous(Workspace* workspace = nullptr) const;

  /// This tensor if it is owned, else a row-major copy on the heap: safe to keep and to hand to
  /// another thread.
  ///
  /// Errors  invalid_argument: undefined, or borrowed memory not on the host; resource_exhausted
  Result<Tensor> owned() const;

  /// Writes the elements in row-major order to `bytes`, whatever their strides.
  ///
  /// Errors  invalid_argument: undefined, not host memory, or `bytes` is not `byte_size()` long
  Result<void> copy_into(std::span<std::byte> bytes) const;

  /// True when dtype, shape, device and all bytes of the elements agree (so a NaN equals itself,
  /// and 0.0 differs from -0.0), whatever the strides. Memory not on the host is equal to itself
  /// only.
  friend bool operator==(const Tensor& a, const Tensor& b) noexcept;

 private:
  friend class Rows<Tensor>;

  struct Fields {
    Fields() noexcept {}  // not defaulted: g++ would clear all of it with one slow instruction
    Fields(void* memory, DType type, std::span<const std::int64_t> extents,
           std::span<const std::int64_t> steps, const Device& where) noexcept;
    Fields(const Fields& block, std::size_t row) noexcept;
    void* data = nullptr;
    std::int64_t numel = 0;
    Shape shape;
    Strides strides{};
    Device device;
    DType dtype = DType::f32;
    bool defined = false;
    bool contiguous = false;
    bool read_only = false;

    /// Undefined again; extents and strides, which nobody looks at then, stay as they are.
    void reset() noexcept {
      data = nullptr;
      numel = 0;
      shape.make_scalar();
      device = cpu;
      dtype = DType::f32;
      defined = contiguous = read_only = false;
    }
  };

  static Result<Tensor> make(void* data, DType dtype, const Shape& shape,
                             std::span<const std::int64_t> strides, const Device& device,
                             Owner owner, bool read_only);
  static Error wrong_count(const Shape& shape, std::size_t got);
  /// Row i of `block`, with that share in its memory.
  Tensor(const Tensor& block, std::size_t i, Owner&& share) noexcept
      : owner_(std::move(share)), f_(block.f_, i) {}
  Error not_a_span(DType wanted) const;
  Result<void> readable() const;
  Result<Tensor> copy(Workspace* workspace) const;
  template <Element T>
  bool holds() const noexcept {
    return f_.defined && f_.dtype == dtype_of<T> && f_.device.is_cpu();
  }
  std::byte* at(std::int64_t element) const noexcept {
    return static_cast<std::byte*>(f_.data) +
           element * static_cast<std::int64_t>(size_of(f_.dtype));
  }

  Owner owner_;
  Fields f_;
};

/// "float32 [1, 8, 8]", with " on cuda:0" when not in host memory; or "an undefined tensor".
inline std::string to_string(const Tensor& tensor) {
  if (!tensor.is_defined()) return "an undefined tensor";
  std::string text = detail::text({to_string(tensor.dtype()), " ", to_string(tensor.shape())});
  if (!tensor.device().is_cpu()) text.append(" on ").append(to_string(tensor.device()));
  return text;
}

}  // namespace galley::inline v1

#include <galley/core/tensor_impl.hpp>
