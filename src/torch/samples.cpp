#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/samples.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <utility>

namespace galley::inline v1::detail {

namespace {

constexpr std::int64_t usual_size = 16;

TensorSpec::Range range_of(const TensorSpec& spec) {
  if (spec.range.has_value()) return *spec.range;
  if (is_floating(spec.dtype)) return {-1, 1};
  return spec.dtype == u8 ? TensorSpec::Range{0, 255} : TensorSpec::Range{0, 1};
}

// Not LibTorch's generator: that is the host's, and drawing from it would change what the host
// draws.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : bits_(seed) {}
  // Uniform in [0, 1), the same on every platform.
  double operator()() { return std::ldexp(static_cast<double>(bits_() >> 11U), -53); }

 private:
  std::mt19937_64 bits_;
};

at::Tensor random_rows(const TensorSpec& spec, const std::vector<std::int64_t>& sizes, Draw& draw) {
  const auto [min, max] = range_of(spec);
  at::Tensor values = at::empty(sizes, at::kDouble);
  auto* value = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    value[i] = is_floating(spec.dtype) ? min + (max - min) * draw()
                                       : std::floor(min + (max - min + 1) * draw());
  }
  return values.to(to_torch(spec.dtype));
}

at::Tensor as_torch(const Tensor& tensor) {
  Result<at::Tensor> same = to_torch(tensor);
  if (!same.has_value()) throw std::runtime_error(same.error().detail);
  return *std::move(same);
}

bool same_shapes(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(
      a, b, [](const Tensor& x, const Tensor& y) { return x.shape() == y.shape(); });
}

// The union of two shapes: free where they differ. Empty when the ranks do.
Result<Shape> widened(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank()) return refused("ranks differ");
  std::vector<std::int64_t> extents(a.extents().begin(), a.extents().end());
  for (std::size_t d = 0; d < extents.size(); ++d) {
    if (a[d] != b[d]) extents[d] = any;
  }
  return Shape::of(extents);
}

}  // namespace

Result<std::vector<TensorSpec>> inputs_of(std::span<const std::string> names,
                                          const SampleRows& rows) {
  std::string takes;
  for (const std::string& name : names) takes.append(takes.empty() ? "" : ", ").append(name);
  if (rows.empty()) {
    return refused(
        text({"its inputs are not known: give options.inputs, or options.samples to find "
              "them from; it takes (",
              takes.empty() ? "tensors" : takes, ")"}));
  }
  std::vector<TensorSpec> inputs;
  for (std::size_t i = 0; i < rows.front().size(); ++i) {
    TensorSpec spec;
    spec.name = names.empty() ? std::to_string(i) : i < names.size() ? names[i] : std::string();
    spec.dtype = rows.front()[i].dtype();
    spec.shape = rows.front()[i].shape();
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const Tensor* got = i < rows[r].size() ? &rows[r][i] : nullptr;
      const bool same_kind = got != nullptr && got->is_defined() && got->dtype() == spec.dtype &&
                             rows[r].size() == rows.front().size();
      Result<Shape> shape = same_kind ? widened(spec.shape, got->shape()) : refused("");
      if (!shape.has_value()) {
        return refused(text({"sample row ", std::to_string(r), ": expected ", to_string(spec),
                             " as tensor ", std::to_string(i), ", as in row 0, got ",
                             got == nullptr ? "none" : to_string(*got)}));
      }
      spec.shape = *shape;
    }
    inputs.push_back(std::move(spec));
  }
  return inputs;
}

Result<Columns> given_samples(std::span<const TensorSpec> inputs, const SampleRows& rows,
                              at::Device device) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].size() != inputs.size()) {
      return refused(
          text({"sample row ", std::to_string(r), ": expected ", std::to_string(inputs.size()),
                " tensors, got ", std::to_string(rows[r].size())}));
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Result<void> good = inputs[i].check(rows[r][i]);
      if (!good.has_value()) {
        return refused(text({"sample row ", std::to_string(r), ": ", good.error().detail}));
      }
    }
  }
  Columns columns;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::vector<at::Tensor> like_first;
    for (const std::vector<Tensor>& row : rows) {
      if (same_shapes(row, rows.front())) like_first.push_back(as_torch(row[i]));
    }
    for (std::int64_t k = 1; like_first.size() < fewest_samples; ++k) {
      like_first.push_back(at::roll(like_first.front().flatten(), k).view_as(like_first.front()));
    }
    columns.push_back(at::stack(like_first).to(device));
  }
  return columns;
}

Columns made_samples(std::span<const TensorSpec> inputs, const FunctionOptions& options,
                     std::int64_t growth, at::Device device) {
  Draw draw(options.seed);
  Columns columns;
  std::size_t free = 0;
  for (const TensorSpec& spec : inputs) {
    std::vector<std::int64_t> sizes{static_cast<std::int64_t>(fewest_samples)};
    for (const std::int64_t extent : spec.shape.extents()) {
      if (extent != any) {
        sizes.push_back(extent);
        continue;
      }
      const bool told = free < options.sample_sizes.size();
      sizes.push_back((told ? options.sample_sizes[free] : usual_size) * growth);
      ++free;
    }
    columns.push_back(random_rows(spec, sizes, draw).to(device));
  }
  return columns;
}

Columns repeated(const Columns& columns, std::size_t rows) {
  Columns all;
  for (const at::Tensor& column : columns) {
    const at::Tensor places =
        at::arange(static_cast<std::int64_t>(rows), at::kLong).remainder(column.size(0));
    all.push_back(column.index_select(0, places.to(column.device())));
  }
  return all;
}

}  // namespace galley::inline v1::detail
