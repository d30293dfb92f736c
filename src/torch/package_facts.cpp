#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/package_facts.hpp>
#include <src/torch/torch_compat.hpp>

#include <array>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

namespace {

#if defined(__x86_64__) || defined(_M_X64)
constexpr std::string_view this_machine = "x86_64";
#elif defined(__aarch64__) || defined(_M_ARM64)
constexpr std::string_view this_machine = "aarch64";
#else
constexpr std::string_view this_machine = "";
#endif

#if defined(__linux__)
constexpr std::string_view this_platform = "linux";
#elif defined(__APPLE__)
constexpr std::string_view this_platform = "darwin";
#elif defined(_WIN32)
constexpr std::string_view this_platform = "win32";
#else
constexpr std::string_view this_platform = "";
#endif

Error made_for(std::string_view what, std::string_view theirs, std::string_view ours) {
  return Error(Status::unimplemented, text({"the package was made for ", what, " ", theirs,
                                            ", expected ", ours, ": export it again for that"}));
}

Error not_understood(std::string_view key, std::string_view line) {
  return Error(Status::data_loss,
               text({"the package's ", key, " cannot be understood: \"", line, "\""}));
}

std::string_view until(std::string_view& rest, std::string_view mark) {
  const std::size_t end = rest.find(mark);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + mark.size());
  return part;
}

template <class Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool read(std::string_view name, DType& dtype) {
  for (const DType known : {f32, f64, f16, bf16, i8, i16, i32, i64, u8, boolean}) {
    if (to_string(known) != name) continue;
    dtype = known;
    return true;
  }
  return false;
}

// "1, 8, ?" without its brackets.
bool read(std::string_view text, Shape& shape) {
  std::vector<std::int64_t> extents;
  while (!text.empty()) {
    const std::string_view part = until(text, ", ");
    std::int64_t extent = any;
    if (part != "?" && (!read(part, extent) || extent < 0)) return false;
    extents.push_back(extent);
  }
  Result<Shape> made = Shape::of(extents);
  if (made.has_value()) shape = *made;
  return made.has_value();
}

// "float32 [1, 8, 8] pixels", a line for each tensor: a name may be anything but a line's end.
Result<std::vector<TensorSpec>> specs_of(std::string_view key, std::string_view text) {
  std::vector<TensorSpec> specs;
  while (!text.empty()) {
    const std::string_view line = until(text, "\n");
    std::string_view rest = line;
    TensorSpec spec;
    const bool understood =
        read(until(rest, " ["), spec.dtype) && read(until(rest, "] "), spec.shape);
    if (!understood || rest.empty()) return not_understood(key, line);
    spec.name = rest;
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::string to_text(const PackageBatch& batch) {
  return batch.min == batch.max
             ? std::to_string(batch.min)
             : text({std::to_string(batch.min), " to ", std::to_string(batch.max)});
}

// "2.13" of "2.13.0+cpu".
std::string_view series_of(std::string_view version) {
  const std::size_t first = version.find('.');
  return version.substr(0, first == version.npos ? first : version.find('.', first + 1));
}

bool may_be_declared(const TensorSpec& declared, const TensorSpec& found) {
  if (declared.dtype != found.dtype || declared.shape.rank() != found.shape.rank()) return false;
  for (std::size_t d = 0; d < found.shape.rank(); ++d) {
    if (found.shape[d] != any && declared.shape[d] != found.shape[d]) return false;
  }
  return true;
}

}  // namespace

Result<PackageFacts> PackageFacts::of(const std::map<std::string, std::string>& metadata) {
  const auto value = [&metadata](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  PackageFacts facts;
  facts.device = value("AOTI_DEVICE_KEY");
  facts.platform = value("AOTI_PLATFORM");
  facts.machine = value("AOTI_MACHINE");
  facts.instructions = value("AOTI_CPU_ISA");
  facts.processor = value("GALLEY_CPU");
  facts.libtorch = value("GALLEY_TORCH");
  GALLEY_TRY(facts.signature.inputs, specs_of("GALLEY_INPUTS", value("GALLEY_INPUTS")));
  GALLEY_TRY(facts.signature.outputs, specs_of("GALLEY_OUTPUTS", value("GALLEY_OUTPUTS")));
  if (const std::string batch = value("GALLEY_BATCH"); !batch.empty()) {
    std::string_view rest = batch;
    const bool understood = read(until(rest, " "), facts.batch.min) && read(rest, facts.batch.max);
    if (!understood || facts.batch.min == 0 || facts.batch.max < facts.batch.min) {
      return not_understood("GALLEY_BATCH", batch);
    }
  }
  if (const auto found = metadata.find("GALLEY_WEIGHTS"); found != metadata.end()) {
    facts.weights.emplace();
    for (std::string_view rest = found->second; !rest.empty();) {
      facts.weights->emplace_back(until(rest, "\n"));
    }
  }
  return facts;
}

Result<void> PackageFacts::check(const Device& wanted) const {
  if (device != wanted.kind()) return made_for("the device", device, to_string(wanted));
  if (!platform.empty() && !this_platform.empty() && platform != this_platform) {
    return made_for("the platform", platform, this_platform);
  }
  const std::string_view like = machine == "arm64" ? "aarch64" : std::string_view(machine);
  if (!like.empty() && !this_machine.empty() && like != this_machine) {
    return made_for("the machine", machine, this_machine);
  }
  for (const std::string& all : {instructions, processor}) {
    for (std::string_view rest = all; !rest.empty();) {
      const std::string_view one = until(rest, " ");
      if (one.empty() || cpu_may_have(one)) continue;
      return made_for("the instruction set", all,
                      text({"one that this processor has: it lacks ", one}));
    }
  }
  const std::string ours = libtorch_version();
  if (!libtorch.empty() && series_of(libtorch) != series_of(ours)) {
    return made_for("LibTorch", libtorch, ours);
  }
  return {};
}

Result<std::vector<TensorSpec>> agreed(std::string_view role, std::vector<TensorSpec> declared,
                                       const std::vector<TensorSpec>& found) {
  if (declared.empty()) return found;
  if (found.empty()) return declared;
  if (declared.size() != found.size()) {
    return refused(text({std::to_string(declared.size()), " ", role,
                         "s are declared, the package has ", std::to_string(found.size())}));
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (may_be_declared(declared[i], found[i])) continue;
    return refused(text({role, " \"", declared[i].name, "\" is declared ", to_string(declared[i]),
                         ", the package's \"", found[i].name, "\" is ", to_string(found[i])}));
  }
  return declared;
}

Result<PackageBatch> agreed(PackageBatch declared, PackageBatch found) {
  if (declared == PackageBatch()) {
    if (found == PackageBatch()) {
      return refused(
          "its batch sizes are not known: the package does not say, so give options.batch as it "
          "was "
          "exported with, {8, 8} for a fixed size of 8");
    }
    return found;
  }
  if (declared.min == 0 || declared.max < declared.min) {
    return refused(text({"options.batch: expected 1 <= min <= max, got ",
                         std::to_string(declared.min), " to ", std::to_string(declared.max)}));
  }
  if (found != PackageBatch() && (declared.min < found.min || declared.max > found.max)) {
    return refused(text({"options.batch: expected sizes within the package's ", to_text(found),
                         ", got ", to_text(declared)}));
  }
  return declared;
}

}  // namespace galley::inline v1::detail
