#include <galley/core/text.hpp>
#include <src/torch/package_folder.hpp>
#include <src/torch/zip.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <system_error>

namespace galley::inline v1::detail {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view models_folder = "data/aotinductor";

Error no_package(std::string_view why) {
  return Error(Status::data_loss, text({"no AOTInductor package: ", why}));
}

Error not_that_model(const std::string& wanted, const std::set<std::string>& has) {
  std::string names;
  for (const std::string& name : has) names.append(names.empty() ? "" : ", ").append(name);
  return Error(Status::failed_precondition,
               text({"expected a model \"", wanted, "\" in the package, it has (", names, ")"}));
}

// What stands before "data/aotinductor/" in a path of an archive, and the model's name after it.
struct Place {
  std::string before;
  std::string model;
};

std::optional<Place> place_of(const std::string& path) {
  const std::size_t at = path.find(models_folder);
  if (at == path.npos || (at != 0 && path[at - 1] != '/')) return std::nullopt;
  const std::size_t begin = at + models_folder.size() + 1;
  const std::size_t end = path.find('/', begin);
  if (end == path.npos) return std::nullopt;
  return Place{path.substr(0, at), path.substr(begin, end - begin)};
}

// Unpacks what one model needs.
Result<void> unpack(ZipFile& zip, const std::string& model, const fs::path& folder) {
  std::set<std::string> models;
  for (const ZipFile::Entry& entry : zip.entries()) {
    if (const auto place = place_of(entry.path)) models.insert(place->model);
  }
  if (models.empty()) {
    return no_package(text({"the archive has no folder ", models_folder,
                            ", as one made by aoti_compile_and_package has"}));
  }
  if (!models.contains(model)) return not_that_model(model, models);
  for (const ZipFile::Entry& entry : zip.entries()) {
    const auto place = place_of(entry.path);
    if (place.has_value() && place->model != model) continue;
    const fs::path target = folder / entry.path;
    std::error_code code;
    fs::create_directories(target.parent_path(), code);
    if (code) {
      return Error(Status::resource_exhausted,
                   text({"cannot make \"", target.parent_path().string(), "\": ", code.message()}));
    }
    GALLEY_TRY(zip.extract(entry, target));
  }
  return {};
}

// The folder that has data/aotinductor: this one, or the one within it, as an archive names it.
Result<fs::path> root_of(const fs::path& folder) {
  std::error_code code;
  if (fs::is_directory(folder / models_folder, code)) return folder;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (fs::is_directory(it->path() / models_folder, ignored)) return it->path();
  }
  return no_package(text({"the folder has no ", models_folder, " in it"}));
}

std::set<std::string> models_in(const fs::path& root) {
  std::set<std::string> models;
  std::error_code code;
  for (fs::directory_iterator it(root / models_folder, code), end; !code && it != end;
       it.increment(code)) {
    models.insert(it->path().filename().string());
  }
  return models;
}

std::uint64_t number_of(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;)
    value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The system's loader maps what an ELF file announces, and touching a page that is not there ends
// the process: looks whether all of it is there. Other formats are left to the system.
Result<void> check_shared_object(const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff end = file.tellg();
  std::array<char, 64> bytes{};
  const std::string_view header(bytes.data(), bytes.size());
  file.seekg(0);
  file.read(bytes.data(), bytes.size());
  const auto damaged = [&path] {
    return no_package(text({"its shared object \"", path.filename().string(), "\" is damaged"}));
  };
  if (!file) return damaged();
#if defined(__ELF__)
  if (!header.starts_with("\x7f"
                          "ELF\x02\x01"))
    return damaged();
#endif
  if (!header.starts_with("\x7f"
                          "ELF\x02\x01"))
    return {};
  const auto size = static_cast<std::uint64_t>(end);
  const std::uint64_t sections = number_of(header.substr(40, 8));
  const std::uint64_t of_sections =
      number_of(header.substr(58, 2)) * number_of(header.substr(60, 2));
  if (sections > size || size - sections < of_sections) return damaged();
  const std::uint64_t segment_size = number_of(header.substr(54, 2));
  const std::uint64_t segments = number_of(header.substr(56, 2));
  std::array<char, 56> segment{};
  if (segment_size < segment.size()) return damaged();
  for (std::uint64_t i = 0; i < segments; ++i) {
    file.seekg(static_cast<std::streamoff>(number_of(header.substr(32, 8)) + i * segment_size));
    file.read(segment.data(), segment.size());
    if (!file) return damaged();
    const std::string_view part(segment.data(), segment.size());
    const std::uint64_t offset = number_of(part.substr(8, 8));
    if (offset > size || size - offset < number_of(part.substr(32, 8))) return damaged();
  }
  return {};
}

// That a model's folder has what is loaded: one shared object and what it says of itself.
Result<void> check_model_folder(const fs::path& folder) {
  std::size_t shared_objects = 0;
  bool has_metadata = false;
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    const std::string name = it->path().filename().string();
    has_metadata = has_metadata || name.ends_with("wrapper_metadata.json");
    if (it->path().extension() != ".so") continue;
    ++shared_objects;
    GALLEY_TRY(check_shared_object(it->path()));
  }
  if (shared_objects == 0) {
    return Error(Status::unimplemented,
                 "the package has no shared object: it would be compiled while it is loaded, by a "
                 "command of its own");
  }
  if (!has_metadata)
    return no_package("it does not say what it was made for (wrapper_metadata.json)");
  return {};
}

}  // namespace

Result<TemporaryFolder> TemporaryFolder::make(const fs::path& parent) {
  std::random_device random;
  TemporaryFolder folder;
  std::error_code code;
  constexpr int tries = 16;
  for (int i = 0; i < tries && folder.path_.empty(); ++i) {
    const fs::path path =
        parent / ("galley-" + std::to_string(random()) + "-" + std::to_string(random()));
    if (fs::create_directory(path, code)) folder.path_ = path;
    if (code) break;
  }
  if (!folder.path_.empty()) {
    fs::permissions(folder.path_, fs::perms::owner_all, code);
    if (!code && fs::is_empty(folder.path_, code) && !code) return folder;
  }
  return Error(Status::failed_precondition,
               text({"cannot make a folder of our own within \"", parent.string(),
                     "\" to unpack the package in: ", code ? code.message() : "it is not ours"}));
}

TemporaryFolder::~TemporaryFolder() {
  if (path_.empty()) return;
  std::error_code code;
  fs::remove_all(path_, code);
}

Result<PackageFolder> PackageFolder::open(const fs::path& path, const std::string& model,
                                          const fs::path& unpack_in) {
  PackageFolder package;
  std::error_code code;
  fs::path folder = path;
  if (!fs::is_directory(path, code)) {
    GALLEY_TRY(ZipFile zip, ZipFile::open(path));
    GALLEY_TRY(package.own_, TemporaryFolder::make(unpack_in));
    folder = package.own_.path();
    GALLEY_TRY(unpack(zip, model, folder));
  }
  GALLEY_TRY(package.root_, root_of(folder));
  const std::set<std::string> models = models_in(package.root_);
  if (!models.contains(model)) return not_that_model(model, models);
  GALLEY_TRY(check_model_folder(package.root_ / models_folder / model));
  return package;
}

}  // namespace galley::inline v1::detail
