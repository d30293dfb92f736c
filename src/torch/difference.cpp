#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/difference.hpp>

#include <cstdint>
#include <cstdio>

namespace galley::inline v1::detail {

namespace {

std::string number_text(const at::Tensor& scalar) {
  char digits[32];
  const int length = std::snprintf(digits, sizeof digits, "%.6g", scalar.item<double>());
  return std::string(digits, static_cast<std::size_t>(length));
}

std::string sizes_text(const at::Tensor& tensor) {
  std::string all = "[";
  for (const std::int64_t size : tensor.sizes()) {
    if (all.size() > 1) all.append(", ");
    all.append(std::to_string(size));
  }
  return all.append("]");
}

}  // namespace

std::optional<Difference> difference(const Tensors& got, const Tensors& wanted,
                                     const Tolerance& tolerance) {
  if (got.size() != wanted.size()) {
    return Difference{0, "is one of", std::to_string(got.size()), std::to_string(wanted.size())};
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (got[i].sizes() != wanted[i].sizes()) {
      return Difference{i, "is", sizes_text(got[i]), sizes_text(wanted[i])};
    }
    if (got[i].dtype() != wanted[i].dtype()) {
      return Difference{i, "is", c10::toString(got[i].scalar_type()),
                        c10::toString(wanted[i].scalar_type())};
    }
    const at::Tensor a = got[i].to(at::kDouble).to(at::kCPU).flatten();
    const at::Tensor b = wanted[i].to(at::kDouble).to(at::kCPU).flatten();
    if (at::allclose(a, b, tolerance.relative, tolerance.absolute, /*equal_nan=*/true)) continue;
    const auto worst = (a - b).abs().nan_to_num(1e300).argmax().item<std::int64_t>();
    return Difference{i, "has", number_text(a[worst]), number_text(b[worst])};
  }
  return std::nullopt;
}

std::string to_string(const Difference& difference, std::string_view output,
                      std::string_view whose) {
  return text({"output \"", output, "\" ", difference.verb, " ", difference.got, ", ", whose, " ",
               difference.wanted});
}

}  // namespace galley::inline v1::detail
