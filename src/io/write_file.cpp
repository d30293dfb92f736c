#include <src/io/write_file.hpp>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace galley::inline v1::detail {

Result<void> write_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) {
    const std::string why = std::generic_category().message(errno);
    std::remove(fresh.c_str());
    return Error(Status::unavailable, path + ": cannot be written: " + why);
  }
  return {};
}

}  // namespace galley::inline v1::detail
