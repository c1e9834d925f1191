using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Weights;

public sealed class ShardIndexTests
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        _folder.Write(First, new SafetensorsWriter().Add("a", "F32", [1], [1, 0, 0, 0]).Add("b", "F32", [1], [2, 0, 0, 0]).ToBytes());
        _folder.Write(Second, new SafetensorsWriter().Add("c", "F16", [2], [3, 0, 0, 0]).ToBytes());
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void Shards_act_as_one_archive()
    {
        WriteIndex(("a", First), ("b", First), ("c", Second));
        using TensorArchive archive = Safetensors.OpenSnapshot(_folder.Path);

        Assert.That(archive.Names, Is.EquivalentTo(["a", "b", "c"]));
        Assert.That(CheckpointFiles.BytesOf(archive.Get("b"))[0], Is.EqualTo(2));
        Assert.That(CheckpointFiles.BytesOf(archive.Get("c"))[0], Is.EqualTo(3));
        Assert.That(archive.Get("c").FileName, Is.EqualTo(Second));
        Assert.That(() => archive.Get("d"), Throws.TypeOf<CheckpointException>().With.Message.StartsWith("model.safetensors.index.json: "));
    }

    [Test]
    public void Index_and_shards_must_agree()
    {
        Refused($"{First}: tensor 'd', listed in", ("a", First), ("b", First), ("c", Second), ("d", First));
        Refused($"{Second}: tensor 'b', listed in", ("a", First), ("b", Second), ("c", Second));
        Refused($"{First}: tensor 'b' is not listed in", ("a", First), ("c", Second));
        Refused("absent.safetensors: the file does not exist", ("a", "absent.safetensors"));
    }

    [TestCase("../x.safetensors")]
    [TestCase("/etc/x.safetensors")]
    [TestCase("a\\x.safetensors")]
    [TestCase("C:x.safetensors")]
    [TestCase("x.safetensors\0")]
    [TestCase("pytorch_model.bin")]
    [TestCase("")]
    public void A_shard_is_a_plain_safetensors_file_name(string shard) => Refused("no plain name", ("a", shard));

    private void Refused(string problem, params (string Tensor, string Shard)[] map)
    {
        WriteIndex(map);
        Assert.That(() => Safetensors.OpenSnapshot(_folder.Path),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(problem));
    }

    private void WriteIndex(params (string Tensor, string Shard)[] map) => _folder.Write("model.safetensors.index.json",
        System.Text.Json.JsonSerializer.Serialize(new
        {
            metadata = new { total_size = 12 },
            weight_map = map.ToDictionary(entry => entry.Tensor, entry => entry.Shard),
        }));
}
