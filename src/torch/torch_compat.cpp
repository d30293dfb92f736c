#include <src/torch/torch_headers.hpp>

#include <src/torch/torch_compat.hpp>

#include <torch/version.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <utility>

#if __has_include(<torch/csrc/inductor/aoti_package/model_package_loader.h>)
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#define GALLEY_HAS_PACKAGES 1
#else
#define GALLEY_HAS_PACKAGES 0
#endif

// Only this version's list of what a processor can do is known to be right.
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 213
#include <ATen/cpu/Utils.h>
#define GALLEY_KNOWS_CPU 1
#else
#define GALLEY_KNOWS_CPU 0
#endif

namespace galley::inline v1::detail {

std::string libtorch_version() {
  // Debian's 1.13.1 says 1.13.0.
  return std::to_string(TORCH_VERSION_MAJOR) + "." + std::to_string(TORCH_VERSION_MINOR) + "." +
         std::to_string(TORCH_VERSION_PATCH);
}

std::string exception_text(const std::exception& e) {
  const auto* own = dynamic_cast<const c10::Error*>(&e);
  return own != nullptr ? own->what_without_backtrace() : e.what();
}

bool is_out_of_memory(const std::exception& e) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr) return true;
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return true;
  // What the interpreter throws carries only the text of the error inside it.
  const std::string_view text = e.what();
  return text.find("can't allocate memory") != text.npos ||
         text.find("not enough memory") != text.npos || text.find("out of memory") != text.npos;
}

#if GALLEY_KNOWS_CPU

bool cpu_may_have(std::string_view instructions) {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&capabilities](std::string_view name) {
    const auto found = capabilities.find(std::string(name));
    return found == capabilities.end() || !found->second.isBool() || found->second.toBool();
  };
  std::string name(instructions);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (name == "avx2") return has("avx2") && has("fma3");
  if (name == "avx512") {
    return has("avx512_f") && has("avx512_dq") && has("avx512_vl") && has("avx512_bw") &&
           has("fma3");
  }
  return has(name);
}

#else

bool cpu_may_have(std::string_view) {
  return true;
}

#endif

#if GALLEY_HAS_PACKAGES

namespace {

std::mutex& loading() noexcept {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

struct PackageLoader::State {
  torch::inductor::AOTIModelPackageLoader loader;
  torch::inductor::AOTIModelContainerRunner* runner = loader.get_runner();
};

bool PackageLoader::exists() noexcept {
  return true;
}

std::map<std::string, std::string> PackageLoader::metadata(const std::string& folder,
                                                           const std::string& model) {
  const std::scoped_lock lock(loading());
  const auto found =
      torch::inductor::AOTIModelPackageLoader::load_metadata_from_package(folder, model);
  return {found.begin(), found.end()};
}

PackageLoader::PackageLoader(const std::string& folder, const std::string& model,
                             std::size_t runners, int device_index) {
  const std::scoped_lock lock(loading());
  state_ = std::unique_ptr<State>(new State{
      torch::inductor::AOTIModelPackageLoader(folder, model, /*single_threaded=*/false, runners,
                                              static_cast<c10::DeviceIndex>(device_index))});
}

[[gnu::hot]] std::vector<at::Tensor> PackageLoader::run(std::vector<at::Tensor>&& inputs) const {
  return state_->runner->boxed_run(std::move(inputs));
}

std::unordered_map<std::string, at::Tensor> PackageLoader::constants() const {
  return state_->runner->extract_constants_map(/*use_inactive=*/false);
}

#else

namespace {

[[noreturn]] void no_loader() {
  throw std::runtime_error("LibTorch " + libtorch_version() + " has no loader of packages");
}

}  // namespace

struct PackageLoader::State {};

bool PackageLoader::exists() noexcept {
  return false;
}

std::map<std::string, std::string> PackageLoader::metadata(const std::string&, const std::string&) {
  no_loader();
}

PackageLoader::PackageLoader(const std::string&, const std::string&, std::size_t, int) {
  no_loader();
}

std::vector<at::Tensor> PackageLoader::run(std::vector<at::Tensor>&&) const {
  no_loader();
}

std::unordered_map<std::string, at::Tensor> PackageLoader::constants() const {
  no_loader();
}

#endif

PackageLoader::~PackageLoader() = default;

}  // namespace galley::inline v1::detail
