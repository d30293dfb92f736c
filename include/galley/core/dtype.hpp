// DType: the type of a tensor's elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <type_traits>

namespace galley::inline v1 {

/// The type of a tensor's elements.
enum class DType : std::uint8_t { f32, f64, f16, bf16, i8, i16, i32, i64, u8, boolean };

inline constexpr DType f32 = DType::f32;
inline constexpr DType f64 = DType::f64;
inline constexpr DType f16 = DType::f16;
inline constexpr DType bf16 = DType::bf16;
inline constexpr DType i8 = DType::i8;
inline constexpr DType i16 = DType::i16;
inline constexpr DType i32 = DType::i32;
inline constexpr DType i64 = DType::i64;
inline constexpr DType u8 = DType::u8;
inline constexpr DType boolean = DType::boolean;

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) noexcept {
  constexpr std::uint8_t sizes[] = {4, 8, 2, 2, 1, 2, 4, 8, 1, 1};
  const auto index = static_cast<std::size_t>(dtype);
  return index < std::size(sizes) ? sizes[index] : 0;
}

/// The name that array libraries use, such as "float32" or "bool".
constexpr std::string_view to_string(DType dtype) noexcept {
  constexpr std::string_view names[] = {"float32", "float64", "float16", "bfloat16", "int8",
                                        "int16",   "int32",   "int64",   "uint8",    "bool"};
  const auto index = static_cast<std::size_t>(dtype);
  return index < std::size(names) ? names[index] : std::string_view("unknown");
}

/// True for the types that can hold NaN and infinity.
constexpr bool is_floating(DType dtype) noexcept {
  return dtype == f32 || dtype == f64 || dtype == f16 || dtype == bf16;
}

namespace detail {
template <class T>
struct ElementType;
template <DType dtype>
using DTypeConstant = std::integral_constant<DType, dtype>;
template <>
struct ElementType<float> : DTypeConstant<f32> {};
template <>
struct ElementType<double> : DTypeConstant<f64> {};
template <>
struct ElementType<std::int8_t> : DTypeConstant<i8> {};
template <>
struct ElementType<std::int16_t> : DTypeConstant<i16> {};
template <>
struct ElementType<std::int32_t> : DTypeConstant<i32> {};
template <>
struct ElementType<std::int64_t> : DTypeConstant<i64> {};
template <>
struct ElementType<std::uint8_t> : DTypeConstant<u8> {};
template <>
struct ElementType<bool> : DTypeConstant<boolean> {};
}  // namespace detail

/// A C++ type that is the element type of some tensor: float, double, bool, int8_t to int64_t and
/// uint8_t. (C++20 has no type for f16 and bf16: their tensors are read as bytes.)
template <class T>
concept Element = requires { detail::ElementType<T>::value; };

/// The DType of a C++ type.
template <Element T>
inline constexpr DType dtype_of = detail::ElementType<T>::value;

}  // namespace galley::inline v1
