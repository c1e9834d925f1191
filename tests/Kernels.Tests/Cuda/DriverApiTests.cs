using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>What a machine says where CUDA cannot be used, on small libraries that fail as old and lame drivers do.</summary>
public sealed class DriverApiTests
{
    private const string Version = "extern \"C\" int cuDriverGetVersion(int* version) { *version = 12040; return 0; }\n";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void A_machine_without_driver_says_so()
    {
        string message = LoadFails("libnosuchcuda.so.1");
        Assert.That(message, Does.StartWith("There is no NVIDIA driver on this machine: libnosuchcuda.so.1"));
    }

    [Test]
    public void A_file_that_is_no_library_is_no_driver()
    {
        File.WriteAllText(_folder.File("libcuda.so.1"), "not an ELF file");
        Assert.That(LoadFails(_folder.File("libcuda.so.1")), Does.StartWith("There is no NVIDIA driver"));
    }

    [Test, Category(Toolchain.Emulated)]
    public void A_driver_older_than_cuda_12_names_both_versions()
    {
        string library = Build("extern \"C\" int cuDriverGetVersion(int* version) { *version = 11080; return 0; }");
        Assert.That(LoadFails(library), Is.EqualTo("The NVIDIA driver supports CUDA 11.8; CUDA 12.0 or later is needed. Install a newer driver."));
    }

    [Test, Category(Toolchain.Emulated)]
    public void A_driver_without_a_needed_function_names_it() =>
        Assert.That(LoadFails(Build(Version)), Does.StartWith("The NVIDIA driver is too old: it has no cuInit; CUDA 12.0"));

    [Test, Category(Toolchain.Emulated)]
    public void A_driver_without_gpu_says_so() =>
        Assert.That(LoadFails(Build(Version + WholeTable("return 100;"))), Is.EqualTo("The NVIDIA driver finds no GPU on this machine."));

    [Test, Category(Toolchain.Emulated)]
    public void A_driver_that_does_not_start_passes_its_own_error_on()
    {
        string library = Build(Version + WholeTable("return 803;"));
        CudaUnavailableException exception = Assert.Throws<CudaUnavailableException>(() => DriverApi.Load(library))!;
        Assert.That(exception.InnerException?.Message, Is.EqualTo("cuInit failed: error 803 (the driver has no text for it)"));
    }

    [Test, Category(Toolchain.Emulated)]
    public void A_gpu_of_an_older_generation_is_refused_by_name()
    {
        string library = Build(Version + WholeTable("return 0;", "DeviceGetCount", "DeviceGetName", "DeviceGetAttribute") + """
            extern "C" int cuDeviceGetCount(int* count) { *count = 1; return 0; }
            extern "C" int cuDeviceGetName(char* name, int, int) { name[0] = 'T'; name[1] = '4'; name[2] = 0; return 0; }
            extern "C" int cuDeviceGetAttribute(int* value, int id, int) { *value = id == 75 ? 7 : 5; return 0; }
            """);
        Assert.That(
            () => CudaDevice.Get(DriverApi.Load(library), 0),
            Throws.TypeOf<CudaUnavailableException>().With.Message.EqualTo("T4 has compute capability 7.5; 8.0 (Ampere) or later is needed."));
    }

    [TestCase(8, 0, "sm_80")]
    [TestCase(8, 6, "sm_80")]
    [TestCase(8, 7, "sm_80")]
    [TestCase(8, 9, "sm_89")]
    [TestCase(9, 0, "sm_90a")]
    [TestCase(10, 0, null)]
    [TestCase(12, 0, null)]
    public void A_gpu_gets_the_best_kernels_that_run_on_it(int major, int minor, string? architecture)
    {
        CudaDevice device = new(0, 0, "GPU", major, minor, 1, 1, 1, 1, 1);
        if (architecture is null)
        {
            Assert.That(() => GpuArchitectures.Of(device), Throws.TypeOf<CudaUnavailableException>().With.Message.Contains($"{major}.{minor}"));
        }
        else
        {
            Assert.That(GpuArchitectures.Of(device).Name(), Is.EqualTo(architecture));
        }
    }

    [TestCase((int)CUResult.IllegalAddress, true)]
    [TestCase((int)CUResult.LaunchFailed, true)]
    [TestCase((int)CUResult.EccUncorrectable, true)]
    [TestCase((int)CUResult.OutOfMemory, false)]
    [TestCase((int)CUResult.InvalidValue, false)]
    [TestCase(720, false)]
    public void Errors_that_end_the_context_are_sticky(int result, bool sticky) =>
        Assert.That(new CudaException("cuStreamSynchronize", (CUResult)result, "", "").IsLost, Is.EqualTo(sticky));

    private static string LoadFails(string path) => Assert.Throws<CudaUnavailableException>(() => DriverApi.Load(path))!.Message;

    /// <summary>Every other entry point, each with this body.</summary>
    private static string WholeTable(string body, params string[] but) => string.Concat(typeof(DriverApi).GetFields()
        .Where(field => field.FieldType.IsFunctionPointer && !but.Contains(field.Name))
        .SelectMany(field => new[] { "", "_v2" }.Select(suffix => $"extern \"C\" int cu{field.Name}{suffix}() {{ {body} }}\n")));

    private string Build(string source)
    {
        _ = Toolchain.RequireHostCompiler(_folder.Path);
        string file = _folder.File("driver.cpp"), library = _folder.File("driver.so");
        File.WriteAllText(file, source);
        HostProcess? process = HostProcess.TryRun(Environment.GetEnvironmentVariable("CXX") ?? "g++", ["-shared", "-fPIC", file, "-o", library]);
        Assert.That(process?.ExitCode, Is.Zero, process?.Output);
        return library;
    }
}
