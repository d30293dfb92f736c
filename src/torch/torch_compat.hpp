// What differs between versions of LibTorch. The only place that may ask which one this is.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <src/torch/call.hpp>

#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace galley::inline v1::detail {

/// "2.13.0", as the headers say.
std::string libtorch_version();

/// The text of the exception being handled, without a backtrace; `e` is that exception.
std::string exception_text(const std::exception& e);

/// True when `e` says that a device's memory, or the host's, is full.
bool is_out_of_memory(const std::exception& e);

/// True unless LibTorch knows that this machine lacks an instruction set: "AVX512_VNNI", in
/// whatever case.
bool cpu_may_have(std::string_view instructions);

/// While this lives, what LibTorch warns of on this thread is not printed.
class WithoutWarnings {
 public:
  WithoutWarnings();
  WithoutWarnings(const WithoutWarnings&) = delete;
  WithoutWarnings& operator=(const WithoutWarnings&) = delete;
  ~WithoutWarnings();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// LibTorch's loader of AOTInductor packages. Other members than `exists` throw what LibTorch
/// throws, or that there is no such loader.
///
/// Threads  any number may `run`; of more than there are runners, some wait for the others
class PackageLoader {
 public:
  /// Whether this LibTorch has it.
  static bool exists() noexcept;

  /// What the package in a folder says of itself. Loads nothing.
  static std::map<std::string, std::string> metadata(const std::string& folder,
                                                     const std::string& model);

  /// Loads the shared object of a model in a folder. Construction and `metadata` are serialised in
  /// the process: LibTorch's reader of metadata keeps what it reads in one variable for all
  /// (pytorch/pytorch PR 194128).
  PackageLoader(const std::string& folder, const std::string& model, std::size_t runners,
                at::Device device);
  PackageLoader(const PackageLoader&) = delete;
  PackageLoader& operator=(const PackageLoader&) = delete;
  ~PackageLoader();

  /// Puts the outputs for `inputs`, which are contiguous, in `outputs`.
  void run(std::span<const at::Tensor> inputs, Tensors& outputs) const;
  /// The only output for the only input: the same, the shortest way.
  at::Tensor one(const at::Tensor& input) const;

  /// The weights, by the names that they have in the exported module: the memory of the package.
  std::unordered_map<std::string, at::Tensor> constants() const;

  /// Copies weights to where `swap_constants` finds them, beside those in use. Where it throws,
  /// nothing is there.
  void set_other_constants(std::unordered_map<std::string, at::Tensor> weights) const;
  /// Runs with those from the next call on; the weights of before are gone.
  ///
  /// Threads  no call runs meanwhile
  void swap_constants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace galley::inline v1::detail
