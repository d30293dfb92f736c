// FewOf: a number of things that is known when they are made, and usually small.
#pragma once

#include <galley/core/assert.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace galley::inline v1::detail {

/// `n` default-made Ts; up to `few` of them are held inline.
template <class T, std::size_t few = 8>
class FewOf {
 public:
  explicit FewOf(std::size_t n) : size_(n) {
    at_ = n <= few ? reinterpret_cast<T*>(inline_) : std::allocator<T>().allocate(n);
    std::uninitialized_value_construct_n(at_, n);
  }
  FewOf(const FewOf&) = delete;
  FewOf& operator=(const FewOf&) = delete;
  ~FewOf() {
    std::destroy_n(at_, size_);
    if (size_ > few) std::allocator<T>().deallocate(at_, size_);
  }

  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t i) noexcept {
    GALLEY_ASSERT(i < size_);
    return at_[i];
  }
  const T& operator[](std::size_t i) const noexcept {
    GALLEY_ASSERT(i < size_);
    return at_[i];
  }
  std::span<T> span() noexcept { return {at_, size_}; }
  std::span<const T> span() const noexcept { return {at_, size_}; }

 private:
  T* at_;
  std::size_t size_;
  alignas(T)
      std::byte inline_[few * sizeof(T)];  // NOLINT(bugprone-sizeof-expression): T may be a pointer
};

}  // namespace galley::inline v1::detail
