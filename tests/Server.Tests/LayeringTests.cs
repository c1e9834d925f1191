using System.Text.RegularExpressions;
using System.Xml.Linq;
using LlamaServe.Testing;

namespace LlamaServe.Server.Tests;

/// <summary>References run server → engine → models → kernels and never back; the request's way is numbered in nine files.</summary>
public sealed partial class LayeringTests
{
    private static readonly string[] Layers = ["server", "engine", "models", "kernels"];

    private static readonly string[] ServerOnly = ["Grpc", "Google.Protobuf", "Microsoft.AspNetCore", "OpenTelemetry", "System.CommandLine", "System.Net"];

    [Test]
    public void A_layer_references_the_next_one_only()
    {
        Assert.Multiple(() =>
        {
            for (int i = 0; i < Layers.Length; i++)
            {
                string[] references = [.. Project(Layers[i]).Descendants("ProjectReference")
                    .Select(reference => reference.Attribute("Include")!.Value.Split('/')[^2])];
                Assert.That(references, Is.EqualTo(Layers.Skip(i + 1).Take(1)), Layers[i]);
            }
        });
    }

    [Test]
    public void Only_the_server_knows_grpc_http_and_the_command_line()
    {
        string[] packages = [.. Layers.Skip(1).SelectMany(layer => Project(layer).Descendants("PackageReference"))
            .Select(package => package.Attribute("Include")?.Value ?? "")
            .Where(IsServerOnly)];
        string[] usings = [.. Layers.Skip(1).SelectMany(Sources)
            .SelectMany(file => File.ReadLines(file).Where(line => IsServerOnly(Using().Match(line).Groups[1].Value)).Select(line => $"{file}: {line}"))];
        Assert.That(packages.Concat(usings), Is.Empty);
    }

    [Test]
    public void No_layer_uses_a_namespace_above_it()
    {
        Assert.Multiple(() =>
        {
            for (int i = 1; i < Layers.Length; i++)
            {
                string[] above = [.. Layers.Take(i).Select(layer => $"LlamaServe.{char.ToUpperInvariant(layer[0])}{layer[1..]}")];
                string[] wrong = [.. Sources(Layers[i]).Where(file => File.ReadLines(file)
                    .Any(line => above.Any(name => Using().Match(line).Groups[1].Value.StartsWith(name, StringComparison.Ordinal))))];
                Assert.That(wrong, Is.Empty, Layers[i]);
            }
        });
    }

    [Test]
    public void Server_and_engine_are_safe_managed_code()
    {
        string[] wrong = [.. new[] { "server", "engine" }
            .SelectMany(Sources)
            .Where(file => File.ReadAllText(file) is var text && (text.Contains("DllImport") || text.Contains("LibraryImport") || text.Contains(" unsafe ")))];
        Assert.That(wrong, Is.Empty);
    }

    [Test]
    public void The_way_of_a_request_is_numbered_in_nine_files_in_the_order_of_the_layers()
    {
        Dictionary<int, string> path = [];
        foreach (string file in Layers.SelectMany(layer => Sources(layer).Concat(Files(layer, "*.proto"))))
        {
            foreach (Match match in PathMark().Matches(File.ReadAllText(file)))
            {
                Assert.That(path.TryAdd(int.Parse(match.Groups[1].ValueSpan), file), $"two files are number {match.Groups[1].Value}");
            }
        }
        Assert.That(path.Keys.Order(), Is.EqualTo(Enumerable.Range(1, 9)));
        int[] layers = [.. path.OrderBy(entry => entry.Key)
            .Select(entry => Array.IndexOf(Layers, Path.GetRelativePath(RepositoryPaths.Root, entry.Value).Split(Path.DirectorySeparatorChar)[0]))];
        Assert.That(layers, Is.Ordered);
    }

    private static bool IsServerOnly(string name) =>
        ServerOnly.Any(prefix => name == prefix || name.StartsWith(prefix + ".", StringComparison.Ordinal));

    private static XDocument Project(string layer) =>
        XDocument.Load(Directory.EnumerateFiles(Path.Combine(RepositoryPaths.Root, layer), "*.csproj").Single());

    private static IEnumerable<string> Sources(string layer) => Files(layer, "*.cs");

    private static IEnumerable<string> Files(string layer, string pattern) =>
        Directory.EnumerateFiles(Path.Combine(RepositoryPaths.Root, layer), pattern, SearchOption.AllDirectories);

    [GeneratedRegex(@"^\s*(?:global )?using (?:static )?(?:\w+ = )?([\w.]+);")]
    private static partial Regex Using();

    [GeneratedRegex("// Path ([1-9])/9")]
    private static partial Regex PathMark();
}
