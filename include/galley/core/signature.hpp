// Signature: the tensors a model takes and gives, and the check of rows against it.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/device.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1 {

/// What one tensor of a row must be: `{"pixels", galley::f32, {1, 8, 8}}`.
///
/// `shape` is that of a *row*, free dimensions as `any`. Where `device` is none any device will do;
/// a device without an index stands for all of its kind. `range` is closed and NaN lies outside
/// every range.
///
/// Threads  immutable
struct TensorSpec {
  /// Whether NaN and infinity are refused.
  enum class Values : std::uint8_t { unchecked, finite };
  struct Range {
    double min = 0;
    double max = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };

  std::string name = {};
  DType dtype = f32;
  Shape shape = {};
  std::optional<Device> device = {};
  Values values = Values::unchecked;
  std::optional<Range> range = {};

  /// Checks one row. `role` begins the text of an error: `input "pixels": expected ...`.
  ///
  /// Errors  invalid_argument: undefined, dtype, rank, extent, device, or values; unimplemented:
  ///         values are to be checked that are not in host memory
  /// Cost    nanoseconds, and a pass over the elements only where values are checked; allocates for
  ///         an error only
  Result<void> check(const Tensor& row, std::string_view role = "input") const;

  /// Checks the form of a whole block `[n, *F]`, once for all rows; its values are not looked at.
  ///
  /// Errors  invalid_argument
  Result<void> check_block(const Tensor& block, std::string_view role = "input") const;

  /// Checks every row, each with the outcome that `check` would give it alone.
  Casualties check_rows(const Batch<Tensor>& rows, std::string_view role = "input") const;

  /// True when dtype, shape and device of a row, or of every row of a block, are as they must be.
  bool fits(const Tensor& row) const noexcept {
    return row.is_defined() && row.dtype() == dtype && row.shape().matches(shape) && is_on(row);
  }
  bool fits_block(const Tensor& block) const noexcept {
    return block.is_defined() && block.dtype() == dtype && block.shape().rows_match(shape) &&
           is_on(block);
  }

  /// True when the values of a row are checked too.
  bool looks_at_values() const noexcept { return values == Values::finite || range.has_value(); }

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;

 private:
  bool is_on(const Tensor& tensor) const noexcept {
    return !device.has_value() || tensor.device().matches(*device);
  }
  Result<void> check_values(const Tensor& tensor, std::string_view role) const;
  Error mismatch(std::string_view role, std::string_view wanted, const Tensor& got) const;
};

/// The tensors that go into a model and come out of it, in order.
struct Signature {
  std::vector<TensorSpec> inputs = {};
  std::vector<TensorSpec> outputs = {};

  friend bool operator==(const Signature&, const Signature&) = default;
};

/// "float32 [1, 8, 8]", with " on cuda:0" where a device is demanded.
std::string to_string(const TensorSpec& spec);

/// "(pixels: float32 [1, 8, 8]) -> (scores: float32 [10])".
std::string to_string(const Signature& signature);

/// Checks that a row has every tensor that `specs` name; it may have more.
///
/// Errors  as `TensorSpec::check`; invalid_argument: a name is missing
Result<void> check(std::span<const TensorSpec> specs, const NamedTensors& row,
                   std::string_view role = "input");

/// Checks every row, each with the outcome that `check` would give it alone.
Casualties check_rows(std::span<const TensorSpec> specs, const Batch<NamedTensors>& rows,
                      std::string_view role = "input");

/// Checks that what a producer gives may be what a consumer takes: by name, or one to one whatever
/// the names. Where either side leaves a dimension or device free, rows decide when they come.
///
/// Errors  failed_precondition
Result<void> compatible(std::span<const TensorSpec> outputs, std::span<const TensorSpec> inputs);

}  // namespace galley::inline v1

#include <galley/core/signature_impl.hpp>
