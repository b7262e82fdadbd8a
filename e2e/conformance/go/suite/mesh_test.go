// The Gateway API's own tests of a mesh, run with a waypoint in front of their services.
package conformance

import (
	"context"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	meshtests "sigs.k8s.io/gateway-api/conformance/tests/mesh"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

const (
	waypointName  = "waypoint"
	waypointClass = "istio-waypoint"
	waypointReady = 3 * time.Minute
)

var (
	reportFile = flag.String("report", "", "where the ConformanceReport goes")
	version    = flag.String("implementation-version", "", "what is under test")
)

// What a mesh can support, and what of a route's own features the tests of a mesh ask for.
func supported() []features.FeatureName {
	names := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures).UnsortedList()
	names = append(names,
		features.SupportHTTPRoute,
		features.SupportGRPCRoute,
		features.SupportHTTPRouteParentRefPort,
		features.SupportHTTPRouteResponseHeaderModification,
		features.SupportHTTPRoute303RedirectStatusCode,
		features.SupportHTTPRoute307RedirectStatusCode,
		features.SupportHTTPRoute308RedirectStatusCode,
	)
	slices.Sort(names)
	return names
}

func TestMesh(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.SupportedFeatures = supported()
	options.ConformanceProfiles = []suite.ConformanceProfileName{
		suite.MeshHTTPConformanceProfileName,
		suite.MeshGRPCConformanceProfileName,
	}
	options.NamespaceLabels = map[string]string{"istio.io/dataplane-mode": "ambient"}
	options.Implementation = confv1.Implementation{Organization: "ambit", Project: "ambit", Version: *version}
	conformanceSuite, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err)
	t.Cleanup(func() { writeReport(t, conformanceSuite) })

	tests := meshtests.MeshConformanceTests
	conformanceSuite.Setup(t, tests)
	serveByWaypoint(t, options.Client, suite.MeshNamespace)
	require.NoError(t, conformanceSuite.Run(t, tests))
}

// A waypoint of the namespace, as `istioctl waypoint apply --enroll-namespace` makes one.
func serveByWaypoint(t *testing.T, cluster client.Client, namespace string) {
	ctx := context.Background()
	gateway := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: waypointName, Namespace: namespace},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: waypointClass,
			Listeners: []gatewayv1.Listener{{
				Name:     "mesh",
				Port:     15008,
				Protocol: "HBONE",
			}},
		},
	}
	require.NoError(t, client.IgnoreAlreadyExists(cluster.Create(ctx, gateway)))
	label := []byte(`{"metadata":{"labels":{"istio.io/use-waypoint":"` + waypointName + `"}}}`)
	labelled := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	require.NoError(t, cluster.Patch(ctx, labelled, client.RawPatch(types.MergePatchType, label)))
	err := wait.PollUntilContextTimeout(ctx, time.Second, waypointReady, true, func(ctx context.Context) (bool, error) {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(gateway), gateway); err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)), nil
	})
	require.NoError(t, err, "the waypoint is not Programmed: %v", gateway.Status.Conditions)
}

func writeReport(t *testing.T, conformanceSuite *suite.ConformanceTestSuite) {
	if *reportFile == "" {
		return
	}
	report, err := conformanceSuite.Report()
	require.NoError(t, err)
	text, err := yaml.Marshal(report)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(*reportFile, text, 0o644))
}
