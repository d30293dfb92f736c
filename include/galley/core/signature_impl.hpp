// The implementation of the checks against a signature; include <galley/core/signature.hpp>.
#pragma once

#include <galley/core/signature.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

namespace detail {

struct Half {
  std::uint16_t bits;
};
struct Brain {
  std::uint16_t bits;
};

constexpr bool is_finite(float x) noexcept {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U;
}
constexpr bool is_finite(double x) noexcept {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000U) != 0x7ff0000000000000U;
}
constexpr bool is_finite(Half x) noexcept {
  return (x.bits & 0x7c00U) != 0x7c00U;
}
constexpr bool is_finite(Brain x) noexcept {
  return (x.bits & 0x7f80U) != 0x7f80U;
}

constexpr double to_double(Brain x) noexcept {
  return static_cast<double>(std::bit_cast<float>(std::uint32_t{x.bits} << 16U));
}
constexpr double to_double(Half x) noexcept {
  const std::uint64_t sign = std::uint64_t{x.bits & 0x8000U} << 48U;
  const std::uint64_t exponent = (x.bits >> 10U) & 0x1fU;
  const std::uint64_t fraction = x.bits & 0x3ffU;
  if (exponent == 0) {
    const double magnitude = static_cast<double>(fraction) * 0x1p-24;
    return sign == 0 ? magnitude : -magnitude;
  }
  const std::uint64_t wide = exponent == 0x1fU ? 0x7ffU : exponent + 1023U - 15U;
  return std::bit_cast<double>(sign | wide << 52U | fraction << 42U);
}
template <class T>
constexpr double to_double(T x) noexcept {
  return static_cast<double>(x);
}

/// The first element that is not as a spec wants it.
struct BadValue {
  std::int64_t element = 0;
  double value = 0;
};

template <class T>
constexpr bool is_floating_element = requires(T x) { is_finite(x); } && !std::is_integral_v<T>;

/// True when all are finite. Sixteen at a time without a branch, so that compilers use vectors.
template <class T>
bool all_finite(const T* values, std::int64_t count) noexcept {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    bool finite = true;
    for (std::int64_t k = 0; k < 16; ++k) finite &= is_finite(values[i + k]);
    if (!finite) return false;
  }
  for (; i < count; ++i) {
    if (!is_finite(values[i])) return false;
  }
  return true;
}

template <class T>
std::optional<BadValue> find_bad_value(const Tensor& tensor, bool finite,
                                       const std::optional<TensorSpec::Range>& range) {
  constexpr bool may_be_infinite = is_floating_element<T>;
  if (!may_be_infinite && !range.has_value()) return std::nullopt;
  const auto* values = static_cast<const T*>(tensor.data());
  if constexpr (may_be_infinite) {
    const bool finite_only = finite && !range.has_value();
    if (finite_only && tensor.is_contiguous() && all_finite(values, tensor.numel())) {
      return std::nullopt;
    }
  }
  std::optional<BadValue> bad;
  std::int64_t element = 0;
  const Shape& shape = tensor.shape();
  Strides strides{};
  std::copy(tensor.strides().begin(), tensor.strides().end(), strides.begin());
  for_each_run(shape.extents(), strides, [&](const Run& run) {
    for (std::int64_t i = 0; i < run.count; ++i, ++element) {
      const T value = values[run.offset + i * run.stride];
      const double x = to_double(value);
      bool good = !range.has_value() || (x >= range->min && x <= range->max);
      if constexpr (may_be_infinite) good = good && (!finite || is_finite(value));
      if (!good) {
        bad = BadValue{element, x};
        return false;
      }
    }
    return true;
  });
  return bad;
}

inline std::optional<BadValue> find_bad_value(const Tensor& tensor, bool finite,
                                              const std::optional<TensorSpec::Range>& range) {
  switch (tensor.dtype()) {
    case DType::f32:
      return find_bad_value<float>(tensor, finite, range);
    case DType::f64:
      return find_bad_value<double>(tensor, finite, range);
    case DType::f16:
      return find_bad_value<Half>(tensor, finite, range);
    case DType::bf16:
      return find_bad_value<Brain>(tensor, finite, range);
    case DType::i8:
      return find_bad_value<std::int8_t>(tensor, finite, range);
    case DType::i16:
      return find_bad_value<std::int16_t>(tensor, finite, range);
    case DType::i32:
      return find_bad_value<std::int32_t>(tensor, finite, range);
    case DType::i64:
      return find_bad_value<std::int64_t>(tensor, finite, range);
    case DType::u8:
    case DType::boolean:
      return find_bad_value<std::uint8_t>(tensor, finite, range);
  }
  return std::nullopt;
}

inline std::string number(double value) {
  char digits[32];
  const int length = std::snprintf(digits, sizeof digits, "%g", value);
  return std::string(digits, static_cast<std::size_t>(length));
}

inline std::string on_device(const std::optional<Device>& device) {
  return device.has_value() ? text({" on ", to_string(*device)}) : std::string();
}

}  // namespace detail

inline Error TensorSpec::mismatch(std::string_view role, std::string_view wanted,
                                  const Tensor& got) const {
  std::string got_text = to_string(got);
  if (device.has_value() && got.is_defined() && got.device().is_cpu()) {
    got_text.append(" on ").append(to_string(got.device()));
  }
  return Error(Status::invalid_argument,
               detail::text({role, " \"", name, "\": expected ", wanted, ", got ", got_text}));
}

inline Result<void> TensorSpec::check_values(const Tensor& tensor, std::string_view role) const {
  if (!tensor.device().is_cpu()) {
    return Error(Status::unimplemented,
                 detail::text({role, " \"", name,
                               "\": expected host memory, where values can be "
                               "checked, got ",
                               to_string(tensor)}));
  }
  const auto bad = detail::find_bad_value(tensor, values == Values::finite, range);
  if (!bad.has_value()) return {};
  std::string wanted = values == Values::finite ? "finite values" : "values";
  if (range.has_value()) {
    wanted.append(" in [").append(detail::number(range->min)).append(", ");
    wanted.append(detail::number(range->max)).append("]");
  }
  return Error(
      Status::invalid_argument,
      detail::text({role, " \"", name, "\": expected ", wanted, ", got ",
                    detail::number(bad->value), " at element ", std::to_string(bad->element)}));
}

inline Result<void> TensorSpec::check(const Tensor& row, std::string_view role) const {
  if (!fits(row)) return mismatch(role, to_string(*this), row);
  if (looks_at_values()) return check_values(row, role);
  return {};
}

inline Result<void> TensorSpec::check_block(const Tensor& block, std::string_view role) const {
  if (fits_block(block)) return {};
  std::string wanted = to_string(shape);
  wanted.replace(0, 1, shape.rank() == 0 ? "[n" : "[n, ");
  return mismatch(role, detail::text({to_string(dtype), " ", wanted, detail::on_device(device)}),
                  block);
}

inline Casualties TensorSpec::check_rows(const Batch<Tensor>& rows, std::string_view role) const {
  Casualties bad;
  if (rows.empty()) return bad;
  const Rows<Tensor>* whole = rows.whole();
  const Tensor* block = whole != nullptr ? whole->block() : nullptr;
  if (block != nullptr && check_block(*block, role).has_value()) {
    if (!looks_at_values() || check_values(*block, role).has_value()) return bad;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Result<void> checked = check(rows[i], role);
    if (!checked.has_value()) bad.append(i, std::move(checked).error());
  }
  return bad;
}

inline std::string to_string(const TensorSpec& spec) {
  return detail::text(
      {to_string(spec.dtype), " ", to_string(spec.shape), detail::on_device(spec.device)});
}

inline std::string to_string(const Signature& signature) {
  const auto list = [](const std::vector<TensorSpec>& specs) {
    std::string all = "(";
    for (const TensorSpec& spec : specs) {
      if (all.size() > 1) all.append(", ");
      all.append(spec.name).append(": ").append(to_string(spec));
    }
    return all.append(")");
  };
  return detail::text({list(signature.inputs), " -> ", list(signature.outputs)});
}

inline Result<void> check(std::span<const TensorSpec> specs, const NamedTensors& row,
                          std::string_view role) {
  for (const TensorSpec& spec : specs) {
    const Tensor* tensor = row.find(spec.name);
    if (tensor == nullptr) return detail::no_such_name(role, spec.name, row.span());
    GALLEY_TRY(spec.check(*tensor, role));
  }
  return {};
}

inline Casualties check_rows(std::span<const TensorSpec> specs, const Batch<NamedTensors>& rows,
                             std::string_view role) {
  Casualties bad;
  const Rows<NamedTensors>* whole = rows.whole();
  bool by_column = whole != nullptr && whole->has_columns();
  for (std::size_t s = 0; s < specs.size() && by_column; ++s) {
    const auto column = whole->column(specs[s].name);
    by_column = column.has_value();
    if (!by_column) break;
    Casualties here = specs[s].check_rows(**column, role);
    for (Casualty& casualty : here.mutable_span()) {
      if (bad.find(casualty.row) == nullptr) bad.insert(casualty.row, std::move(casualty.error));
    }
  }
  if (by_column) return bad;
  bad = Casualties();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Result<void> checked = check(specs, rows[i], role);
    if (!checked.has_value()) bad.append(i, std::move(checked).error());
  }
  return bad;
}

inline Result<void> compatible(std::span<const TensorSpec> outputs,
                               std::span<const TensorSpec> inputs) {
  const auto may_feed = [](const TensorSpec& out, const TensorSpec& in) {
    if (out.dtype != in.dtype || out.shape.rank() != in.shape.rank()) return false;
    for (std::size_t d = 0; d < out.shape.rank(); ++d) {
      if (out.shape[d] != any && in.shape[d] != any && out.shape[d] != in.shape[d]) return false;
    }
    if (!out.device.has_value() || !in.device.has_value()) return true;
    return out.device->matches(*in.device) || in.device->matches(*out.device);
  };
  for (const TensorSpec& in : inputs) {
    const bool one_to_one = outputs.size() == 1 && inputs.size() == 1;
    const TensorSpec* out = one_to_one ? &outputs[0] : detail::find_named(outputs, in.name);
    if (out == nullptr) {
      return Error(Status::failed_precondition,
                   detail::text({"input \"", in.name, "\": expected an output of this name, got ",
                                 detail::names_of(outputs)}));
    }
    if (!may_feed(*out, in)) {
      return Error(Status::failed_precondition,
                   detail::text({"input \"", in.name, "\": expected ", to_string(in),
                                 ", got output \"", out->name, "\": ", to_string(*out)}));
    }
  }
  return {};
}

}  // namespace galley::inline v1
