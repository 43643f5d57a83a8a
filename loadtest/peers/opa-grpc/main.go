// Answers Envoy's external authorization over gRPC with OPA's own Go library.
//
// It stands in for opa-envoy-plugin where that cannot be installed: the same service, the same
// library, the same policy and data, and the question in the same place (input.parsed_body). It
// does less around the evaluation than the plugin (no copy of the whole request into the input, no
// decision id, no metrics), so it shows the least that OPA behind gRPC costs.
//
//	opa-grpc --addr 127.0.0.1:9191 policy.rego data.json
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"

	envoy "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
)

// The rule that decides.
const query = "data.postern.allow"

type server struct {
	envoy.UnimplementedAuthorizationServer
	prepared rego.PreparedEvalQuery
}

// Check decides one question, which is the JSON body of the request that Envoy would ask about.
func (s *server) Check(
	ctx context.Context, request *envoy.CheckRequest,
) (*envoy.CheckResponse, error) {
	body := request.GetAttributes().GetRequest().GetHttp().GetBody()
	question, err := ast.ValueFromReader(strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	input := ast.NewObject(ast.Item(ast.InternedTerm("parsed_body"), ast.NewTerm(question)))
	result, err := s.prepared.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		return nil, err
	}
	code := codes.PermissionDenied
	if result.Allowed() {
		code = codes.OK
	}
	return &envoy.CheckResponse{Status: &status.Status{Code: int32(code)}}, nil
}

// prepare compiles the policy over the data, which it keeps as values ready to evaluate.
func prepare(policy, data string) (rego.PreparedEvalQuery, error) {
	var none rego.PreparedEvalQuery
	module, err := os.ReadFile(policy)
	if err != nil {
		return none, err
	}
	text, err := os.ReadFile(data)
	if err != nil {
		return none, err
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		return none, err
	}
	store := inmem.NewFromObjectWithOpts(document, inmem.OptReturnASTValuesOnRead(true))
	return rego.New(rego.Query(query), rego.Module(policy, string(module)), rego.Store(store)).
		PrepareForEval(context.Background())
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:9191", "where to listen")
	flag.Parse()
	if flag.NArg() != 2 {
		return fmt.Errorf("usage: opa-grpc [--addr ADDRESS] policy.rego data.json")
	}
	prepared, err := prepare(flag.Arg(0), flag.Arg(1))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	service := grpc.NewServer()
	envoy.RegisterAuthorizationServer(service, &server{prepared: prepared})
	reflection.Register(service)
	return service.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "opa-grpc:", err)
		os.Exit(1)
	}
}
