// A host's own use of fmt.
#include <fmt/format.h>

#include <string>

std::string host_format(int answer);

std::string host_format(int answer) {
  return fmt::format("{:03}", answer);
}
