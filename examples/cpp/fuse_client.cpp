// Fuses one pair of picture files through a CrossFuse server:
//
//   fuse_client HOST:PORT IR VIS OUT.png
//
// The files are sent as they are (PNG, JPEG or WebP); the server decodes them.
// Exit codes: 0 fused, 1 the call or a file failed, 2 bad usage.

#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

#include <grpcpp/grpcpp.h>

#include "crossfuse/v1/fusion.grpc.pb.h"

namespace pb = crossfuse::v1;

namespace {

// Without a deadline a call to a server that hangs would never come back.
constexpr std::chrono::seconds kTimeout{10};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

pb::Encoding EncodingOf(const std::string& path) {
  const std::string ending = path.substr(path.find_last_of('.') + 1);
  if (ending == "png") return pb::ENCODING_PNG;
  if (ending == "jpg" || ending == "jpeg") return pb::ENCODING_JPEG;
  if (ending == "webp") return pb::ENCODING_WEBP;
  throw std::runtime_error(path + ": valid endings are .png, .jpg, .jpeg and .webp");
}

void LoadImage(const std::string& path, pb::Image* image) {
  image->set_encoding(EncodingOf(path));
  image->set_data(ReadFile(path));
}

// One channel and one stub serve a whole program: they are thread-safe and connect again by
// themselves. For TLS give grpc::SslCredentials instead.
std::unique_ptr<pb::FusionService::Stub> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  // gRPC refuses answers of more than 4 MB unless told otherwise; a RAW colour frame has more.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return pb::FusionService::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

int Fuse(const std::string& target, const std::string& ir, const std::string& vis,
         const std::string& out) {
  pb::FuseRequest request;
  LoadImage(ir, request.mutable_ir());
  LoadImage(vis, request.mutable_vis());
  request.mutable_options()->set_output_encoding(pb::ENCODING_PNG);

  const auto stub = Connect(target);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  pb::FuseResponse response;
  const grpc::Status status = stub->Fuse(&context, request, &response);
  if (!status.ok()) {
    std::cerr << "gRPC status " << status.error_code() << ": " << status.error_message() << '\n';
    return 1;
  }

  WriteFile(out, response.fused().data());
  const pb::Timings& timings = response.timings();
  std::cout << out << ": " << response.fused().width() << 'x' << response.fused().height()
            << ", model " << response.model().name() << ':' << response.model().version()
            << ", inference " << timings.infer_us() / 1000.0 << " ms of "
            << timings.total_us() / 1000.0 << " ms in the server\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: fuse_client HOST:PORT IR VIS OUT.png\n";
    return 2;
  }
  try {
    return Fuse(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
