#include <src/torch/torch_headers.hpp>

#include <src/torch/torch_compat.hpp>

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#if __has_include(<torch/csrc/inductor/aoti_package/model_package_loader.h>)
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/inductor/aoti_torch/utils.h>
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

#if TORCH_VERSION_MAJOR >= 2

struct WithoutWarnings::State {
  struct Silent final : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  } handler = {};
  c10::WarningUtils::WarningHandlerGuard guard{&handler};
};

#else

struct WithoutWarnings::State {
  struct Silent final : c10::WarningHandler {
    void process(const c10::SourceLocation&, const std::string&, const bool) override {}
  } handler = {};
  c10::Warning::WarningHandlerGuard guard{&handler};
};

#endif

WithoutWarnings::WithoutWarnings() : state_(std::make_unique<State>()) {}
WithoutWarnings::~WithoutWarnings() = default;

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

using torch::inductor::AOTIModelContainerRunner;

/// The package's C interface behind LibTorch's runner, which is protected there: called directly, a
/// call makes none of the four vectors that the runner's own `run` makes.
///
/// A package on another device than the processor is run by the runner, which knows its streams.
class PackageContainer {
 public:
  explicit PackageContainer(AOTIModelContainerRunner& runner) { Access<>::get(runner, *this); }

  /// Whether this LibTorch lets itself be called so.
  explicit operator bool() const noexcept { return run_ != nullptr; }
  std::size_t outputs() const noexcept { return outputs_; }

  /// Steals the inputs' handles, and gives the outputs'.
  void run(AtenTensorHandle* inputs, std::size_t input_count, AtenTensorHandle* outputs) const {
    if (run_(handle_, inputs, input_count, outputs, outputs_, nullptr, proxy_) !=
        AOTI_RUNTIME_SUCCESS) [[unlikely]] {
      failed();
    }
  }

 private:
  // What is protected is named through a derived class. Where a LibTorch has other members, nothing
  // is taken, and the runner is called.
  template <class Runner = AOTIModelContainerRunner>
  struct Access : Runner {
    static void get(Runner& runner, PackageContainer& to) {
      if constexpr (requires {
                      runner.*(&Access::run_func_);
                      runner.*(&Access::get_num_outputs_func_);
                      runner.*(&Access::get_last_error_func_);
                      runner.*(&Access::container_handle_);
                      runner.*(&Access::proxy_executor_handle_);
                    }) {
        const auto handle = runner.*(&Access::container_handle_);
        std::size_t outputs = 0;
        if ((runner.*(&Access::get_num_outputs_func_))(handle, &outputs) != AOTI_RUNTIME_SUCCESS) {
          return;
        }
        to.handle_ = handle;
        to.proxy_ = runner.*(&Access::proxy_executor_handle_);
        to.last_error_ = runner.*(&Access::get_last_error_func_);
        to.outputs_ = outputs;
        to.run_ = runner.*(&Access::run_func_);
      }
    }
  };

  [[noreturn]] void failed() const {
    const char* why = nullptr;
    if (last_error_ != nullptr) last_error_(&why);
    throw std::runtime_error(why != nullptr && *why != 0 ? why : "the package's code failed");
  }

  AOTInductorModelContainerHandle handle_ = nullptr;
  AOTIProxyExecutorHandle proxy_ = nullptr;
  decltype(&AOTInductorModelContainerRun) run_ = nullptr;
  AOTIRuntimeError (*last_error_)(const char**) = nullptr;
  std::size_t outputs_ = 0;
};

struct PackageLoader::State {
  State(const std::string& folder, const std::string& model, std::size_t runners, at::Device device)
      : loader(folder, model, /*single_threaded=*/false, runners, device.index()),
        runner(loader.get_runner()) {
    if (device.is_cpu()) container.emplace(*runner);
  }
  /// True when a call need not go through the runner.
  bool is_direct() const noexcept { return container.has_value() && *container; }

  torch::inductor::AOTIModelPackageLoader loader;
  AOTIModelContainerRunner* runner;
  std::optional<PackageContainer> container;
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
                             std::size_t runners, at::Device device) {
  const std::scoped_lock lock(loading());
  state_ = std::make_unique<State>(folder, model, runners, device);
}

namespace {

/// A new handle of a tensor, made where the package frees it.
AtenTensorHandle handle_of(const at::Tensor& tensor) {
  AtenTensorHandle made = nullptr;
  const auto borrowed =
      torch::aot_inductor::tensor_pointer_to_tensor_handle(const_cast<at::Tensor*>(&tensor));
  if (aoti_torch_new_tensor_handle(borrowed, &made) != AOTI_TORCH_SUCCESS) throw std::bad_alloc();
  return made;
}

/// Handles that go where they are not stolen.
class Handles {
 public:
  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() {
    for (AtenTensorHandle handle : owned_) aoti_torch_delete_tensor_object(handle);
  }

  void add(const at::Tensor& tensor) {
    owned_.push_back(nullptr);
    owned_.back() = handle_of(tensor);
  }
  AtenTensorHandle* stolen() {
    passed_.swap(owned_);
    return passed_.data();
  }

 private:
  c10::SmallVector<AtenTensorHandle, 4> owned_;
  c10::SmallVector<AtenTensorHandle, 4> passed_;
};

/// The tensor behind a handle, which is gone then.
at::Tensor taken(AtenTensorHandle handle) {
  at::Tensor tensor = std::move(*torch::aot_inductor::tensor_handle_to_tensor_pointer(handle));
  aoti_torch_delete_tensor_object(handle);
  return tensor;
}

}  // namespace

void PackageLoader::run(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  if (!state_->is_direct()) {
    std::vector<at::Tensor> stolen(inputs.begin(), inputs.end());
    for (at::Tensor& output : state_->runner->boxed_run(std::move(stolen))) {
      outputs.push_back(std::move(output));
    }
    return;
  }
  const std::size_t count = state_->container->outputs();
  outputs.reserve(outputs.size() + count);
  c10::SmallVector<AtenTensorHandle, 4> answers(count);
  Handles handles;
  for (const at::Tensor& input : inputs) handles.add(input);
  state_->container->run(handles.stolen(), inputs.size(), answers.data());
  for (AtenTensorHandle answer : answers) outputs.push_back(taken(answer));
}

[[gnu::hot]] at::Tensor PackageLoader::one(const at::Tensor& input) const {
  if (state_->is_direct() && state_->container->outputs() == 1) [[likely]] {
    AtenTensorHandle handle = handle_of(input);
    AtenTensorHandle answer = nullptr;
    state_->container->run(&handle, 1, &answer);
    return taken(answer);
  }
  Tensors outputs;
  run({&input, 1}, outputs);
  check_output_count(outputs.size(), 1);
  return std::move(outputs.front());
}

std::unordered_map<std::string, at::Tensor> PackageLoader::constants() const {
  return state_->runner->extract_constants_map(/*use_inactive=*/false);
}

// What the compiled code folds of them it folds in the first call.
void PackageLoader::set_other_constants(std::unordered_map<std::string, at::Tensor> weights) const {
  AOTIModelContainerRunner& runner = *state_->runner;
  try {
    state_->loader.load_constants(weights, /*use_inactive=*/true, /*check_full_update=*/false);
    const auto there = runner.extract_constants_map(/*use_inactive=*/true);
    for (const auto& [name, tensor] : constants()) {
      if (!there.contains(name)) throw std::runtime_error("it keeps no second " + name);
    }
  } catch (...) {
    runner.free_inactive_constant_buffer();
    throw;
  }
}

void PackageLoader::swap_constants() const {
  state_->runner->swap_constant_buffer();
  try {
    state_->runner->free_inactive_constant_buffer();
  } catch (...) {  // the weights are replaced all the same; those of before go with the next ones
  }
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

PackageLoader::PackageLoader(const std::string&, const std::string&, std::size_t, at::Device) {
  no_loader();
}

void PackageLoader::run(std::span<const at::Tensor>, Tensors&) const {
  no_loader();
}

at::Tensor PackageLoader::one(const at::Tensor&) const {
  no_loader();
}

std::unordered_map<std::string, at::Tensor> PackageLoader::constants() const {
  no_loader();
}

void PackageLoader::set_other_constants(std::unordered_map<std::string, at::Tensor>) const {
  no_loader();
}

void PackageLoader::swap_constants() const {
  no_loader();
}

#endif

PackageLoader::~PackageLoader() = default;

}  // namespace galley::inline v1::detail
