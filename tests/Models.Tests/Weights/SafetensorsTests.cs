using LlamaServe.Kernels;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Weights;

public sealed class SafetensorsTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void Tensors_of_every_type_come_back_with_their_shape_and_bytes()
    {
        Random random = new(1);
        byte[] f32 = CheckpointFiles.RandomBytes(random, 24), f16 = CheckpointFiles.RandomBytes(random, 8);
        byte[] bf16 = CheckpointFiles.RandomBytes(random, 12);
        string path = _folder.Write("model.safetensors", new SafetensorsWriter()
            .Add("a", "F32", [2, 3], f32).Add("b", "F16", [4], f16).Add("c.ü", "BF16", [1, 2, 3], bf16).Add("none", "F32", [0], [])
            .ToBytes());

        using TensorArchive archive = Safetensors.Open(path);

        Assert.That(archive.Names, Is.EquivalentTo(["a", "b", "c.ü", "none"]));
        Check("a", WeightFormat.F32, [2, 3], f32);
        Check("b", WeightFormat.F16, [4], f16);
        Check("c.ü", WeightFormat.BF16, [1, 2, 3], bf16);
        Assert.That(archive.ByteLength, Is.EqualTo(44));
        Assert.That(archive.TryGet("d", out _), Is.False);

        void Check(string name, WeightFormat format, long[] shape, byte[] bytes)
        {
            TensorSource tensor = archive.Get(name);
            Assert.That((tensor.Name, tensor.Format, tensor.FileName), Is.EqualTo((name, format, "model.safetensors")));
            Assert.That(tensor.Shape, Is.EqualTo(shape));
            Assert.That(CheckpointFiles.BytesOf(tensor), Is.EqualTo(bytes));
        }
    }

    [Test]
    public void A_tensor_of_another_shape_than_expected_is_named_with_both_shapes()
    {
        _folder.Write("model.safetensors", new SafetensorsWriter().Add("w", "F32", [2, 3], new byte[24]).ToBytes());
        using TensorArchive archive = Safetensors.OpenSnapshot(_folder.Path);
        TensorSource tensor = archive.Get("w");

        Assert.That(tensor.AsMatrix(2, 3), Is.EqualTo(new WeightData("w", WeightFormat.F32, 2, 3, tensor.Address)));
        Assert.That(() => tensor.AsMatrix(3, 2), Throws.TypeOf<CheckpointException>()
            .With.Message.EqualTo("model.safetensors: tensor 'w' has shape [2, 3], expected [3, 2]"));
        Assert.That(() => tensor.AsVector(6), Throws.TypeOf<CheckpointException>());
        Assert.That(() => archive.Get("v"), Throws.TypeOf<CheckpointException>()
            .With.Message.EqualTo("model.safetensors: tensor 'v' is missing"));
    }

    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "truncated")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "belong to no tensor")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "hole")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "overlaps")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}""", 12, "takes 8 bytes")]
    [TestCase("""{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}""", 8, "impossible size")]
    [TestCase("""{"w":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}""", 8, "impossible shape")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "impossible data_offsets")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]}}""", 8, "impossible data_offsets")]
    [TestCase("""{"w":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}""", 8, "'I64'; supported are")]
    [TestCase("""{"w":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"v":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}}""", 10, "not aligned")]
    [TestCase("""{"w":{"shape":[2],"data_offsets":[0,8]}}""", 8, "dtype' is missing")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "integer")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}""", 8, "JSON")]
    [TestCase("""{"w\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "Unicode")]
    [TestCase("""["w"]""", 8, "must be an object")]
    [TestCase("""{"w":""", 8, "JSON")]
    public void A_lying_header_is_refused_and_the_file_named(string header, int dataBytes, string problem)
    {
        string path = _folder.Write("model.safetensors", SafetensorsWriter.WithHeader(header.PadRight((header.Length + 7) & ~7), new byte[dataBytes]));
        Assert.That(() => Safetensors.Open(path), Throws.TypeOf<CheckpointException>()
            .With.Message.StartsWith("model.safetensors: ").And.Message.Contains(problem).And.Message.Not.Contains(_folder.Path));
    }

    [TestCase(new byte[0], "empty")]
    [TestCase(new byte[] { 1, 2, 3 }, "truncated")]
    [TestCase(new byte[] { 100, 0, 0, 0, 0, 0, 0, 0, (byte)'{' }, "truncated")]
    [TestCase(new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x80 }, "no safetensors file")]
    [TestCase(new byte[] { 0, 0, 0, 0, 0, 0, 0, 0 }, "JSON")]
    public void A_damaged_beginning_is_refused(byte[] bytes, string problem)
    {
        string path = _folder.Write("model.safetensors", bytes);
        Assert.That(() => Safetensors.Open(path), Throws.TypeOf<CheckpointException>().With.Message.Contains(problem));
    }

    [Test]
    public void A_folder_with_pickles_only_gets_the_hint_to_convert_them()
    {
        Assert.That(() => Safetensors.OpenSnapshot(_folder.Path), Throws.TypeOf<CheckpointException>()
            .With.Message.Contains("neither model.safetensors nor").And.Message.Not.Contains("pickles"));
        _folder.Write("pytorch_model.bin", [1]);
        Assert.That(() => Safetensors.OpenSnapshot(_folder.Path), Throws.TypeOf<CheckpointException>().With.Message.Contains("pickles"));
        Assert.That(() => Safetensors.OpenSnapshot(Path.Combine(_folder.Path, "absent")), Throws.TypeOf<CheckpointException>());
        Assert.That(() => Safetensors.Open(Path.Combine(_folder.Path, "absent")), Throws.TypeOf<CheckpointException>()
            .With.Message.EqualTo("absent: the file does not exist"));
    }

    [Test]
    public void The_shared_snapshot_opens()
    {
        using TensorArchive archive = Safetensors.OpenSnapshot(RepositoryPaths.RequireStories());
        Assert.That(archive.Names, Has.Count.EqualTo(47));
        Assert.That(archive.Get("model.embed_tokens.weight").AsMatrix(512, 64).Format, Is.EqualTo(WeightFormat.F32));
    }
}
